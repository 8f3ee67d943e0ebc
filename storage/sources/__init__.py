"""Data that is not in a directory: the output of programs, and block images; and the node's own hooks.

`open_sources` and `open_hooks` are all that the rest of the program needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from domain.contracts import Hooks, Sources
from domain.service import Service
from domain.source import HookSettings, SourceSettings
from storage.sources.hooks import NodeHooks
from storage.sources.node import NodeSources


def open_sources(known: Mapping[str, SourceSettings], directory: Callable[[Service], str], locks: str) -> Sources:
    """The sources of this node. `directory(service)` is its absolute path; `locks` a folder of this node's own."""
    return NodeSources(known, directory, locks)


def open_hooks(settings: HookSettings, directory: Callable[[Service], str], locks: str) -> Hooks:
    """The hooks of this node; `locks` as above."""
    return NodeHooks(settings, directory, locks)
