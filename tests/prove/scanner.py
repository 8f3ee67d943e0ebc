"""Looking for marked secrets in bytes: as they are, and as programs write them down.

Apart from where is looked, because what is not found proves something only when the scanner finds what is there:
base64 in its three positions, hexadecimal, quoted for addresses and for JSON, in UTF-16, and inside gzip, zlib and
zstd, wherever a stream of those begins.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import zstandard

_GZIP, _ZSTD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
#: Bytes that one stream is unpacked to at most, and how deep streams may lie in one another.
MOST, DEEP = 64 << 20, 3


class Scanner:
    """`secrets` by name."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms = {name: set(_forms(secret)) for name, secret in secrets.items()}

    def names(self, data: bytes, deep: int = DEEP) -> set[str]:
        """Which of them are in there."""
        found = {name for name, forms in self._forms.items() if any(form in data for form in forms)}
        if deep:
            for inner in _unpacked(data):
                found |= self.names(inner, deep - 1)
        return found

    def places(self, told: Iterable[tuple[str, bytes | str]]) -> list[str]:
        """What was found where, as sentences."""
        return [
            f"{secret} in {place}"
            for place, data in told
            for secret in sorted(self.names(data if isinstance(data, bytes) else data.encode("utf-8", "replace")))
        ]


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file beneath a folder, by its name there."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield f"file {path.relative_to(folder)}", path.read_bytes()


def _forms(secret: str) -> Iterator[bytes]:
    plain = secret.encode()
    yield plain
    yield quote(secret, safe="").encode()
    yield json.dumps(secret)[1:-1].encode()
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    yield secret.encode("utf-16-le")
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + plain)
        # What stands beside the secret changes the first and the last characters.
        inner = coded[(0, 2, 3)[shift] : len(coded) - 4]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def _unpacked(data: bytes) -> Iterator[bytes]:
    for magic, unpack in ((_GZIP, _deflated), (_ZSTD, _zstandard), *((magic, _deflated) for magic in _ZLIB)):
        at = data.find(magic)
        while at >= 0:
            inner = unpack(memoryview(data)[at:])
            if len(inner) > 8:
                yield inner
            at = data.find(magic, at + 1)


def _deflated(data: memoryview) -> bytes:
    try:
        return zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(data, MOST)
    except zlib.error:
        return b""


def _zstandard(data: memoryview) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    except zstandard.ZstdError:
        return b""
