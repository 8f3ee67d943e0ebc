"""Secret columns: JSON, text and bytes that reach SQL only sealed.

Apart from the row mapping so that no other file can read or write such a column in the clear. Each value
is bound to its table, column and row id (the additional authenticated data), so a value that was copied
to another row does not open. What cannot be opened raises what the sealer raises; nothing is guessed.
"""

from __future__ import annotations

import json
from typing import Any, Protocol


class Sealer(Protocol):
    """Authenticated encryption under the key ring."""

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """Encrypt; `aad` must be given again to open."""

    def unseal(self, sealed: bytes, aad: bytes) -> bytes:
        """Decrypt; raises a BackstayError if the value, the key or `aad` is not the right one."""


def to_json(value: Any) -> str:
    """ASCII JSON: NUL and lone surrogates are escapes in it, which every database stores."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


class Vault:
    """Seals and opens the values of single columns. May be shared between threads."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def close_bytes(self, value: bytes, column: str, row_id: str) -> bytes:
        """Seal bytes for `column` (as "table.column") of the row."""
        return self._sealer.seal(value, aad_of(column, row_id))

    def open_bytes(self, sealed: bytes, column: str, row_id: str) -> bytes:
        """The bytes that were sealed for exactly this column and row."""
        return self._sealer.unseal(bytes(sealed), aad_of(column, row_id))

    def close_json(self, value: Any, column: str, row_id: str) -> bytes:
        """Seal a JSON value."""
        return self.close_bytes(to_json(value).encode("ascii"), column, row_id)

    def open_json(self, sealed: bytes, column: str, row_id: str) -> Any:
        """The JSON value that was sealed for exactly this column and row."""
        return json.loads(self.open_bytes(sealed, column, row_id))


def aad_of(column: str, row_id: str) -> bytes:
    """What a value of that column ("table.column") and row is bound to."""
    table, _, name = column.partition(".")
    return f"{table}|{name}|{row_id}".encode("utf-8", "backslashreplace")
