"""Answers about the audit trail: who changed what."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from workers.cli.answers.words import Time


class Entry(TypedDict):
    """One act of a person."""

    seq: Annotated[int, "grows with time"]
    at: Time | None
    actor: Annotated[str, "who, or the name of whose token"]
    way: Literal["cli", "api", "console"]
    action: Annotated[str, "a message type, or `<what>.<verb>`"]
    subject: Annotated[str, "what it was done to: `tenant/T/service/S`, `operation/ID`, …"]
    tenant_id: Annotated[str | None, "null when it is about no single tenant"]
    reason: str | None
    detail: Annotated[dict[str, Any], "ids, names and counts"]


class Entries(TypedDict):
    """Acts, newest first."""

    entries: list[Entry]
    next: Annotated[int | None, "what `--before` takes for the next page; null on the last"]
