"""Words that stand in many answers: what kind of text or number it is, with what a reader must know of it."""

from __future__ import annotations

from typing import Annotated

Time = Annotated[str, "RFC 3339 in UTC, by the database's clock"]
Id = Annotated[str, "a UUIDv7: ids sort by age"]
Next = Annotated[str | None, "what `--before` takes for the next page; null on the last"]
