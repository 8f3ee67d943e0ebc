"""What a node's health hook has said about a service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HookResult:
    """The end of one run; `output` is its last 2,000 characters, standard error included."""

    passed: bool
    output: str = ""
