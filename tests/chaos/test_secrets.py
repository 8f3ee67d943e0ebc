"""A sample of the search for secrets: the scanner finds what is planted, and the embedded node tells nothing.

The whole of it is in `make prove`, and `python -m tests.prove.secrets` on every stack.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import zstandard

from tests.prove.bench import SECRET as MARK
from tests.prove.scanner import Scanner, files
from tests.prove.secrets import searched

SECRET = 'Sesame/"Öffne+dich"~4711'
WAYS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: data,
    "base64": base64.b64encode,
    "base64, one byte later": lambda data: base64.b64encode(b"x" + data + b"yy"),
    "base64, two bytes later": lambda data: base64.b64encode(b"xy" + data + b"z"),
    "base64 for addresses": base64.urlsafe_b64encode,
    "quoted for an address": lambda data: quote(data, safe="").encode(),
    "inside JSON": lambda data: json.dumps({"a": data.decode()}).encode(),
    "hexadecimal": lambda data: data.hex().encode(),
    "UTF-16": lambda data: data.decode().encode("utf-16-le"),
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "zstd": zstandard.compress,
    "gzip in zstd in gzip": lambda data: gzip.compress(zstandard.compress(gzip.compress(data))),
    "base64 in gzip": lambda data: gzip.compress(base64.b64encode(b"x" + data)),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_scanner_finds_a_planted_secret_however_it_was_written(tmp_path: Path, way: str) -> None:
    """I18: else that nothing was found would say nothing."""
    scanner = Scanner({"env": SECRET, "other": "another-secret-of-ours"})
    (tmp_path / "object").write_bytes(b"before\0" + WAYS[way](SECRET.encode()) + b"\0after")
    (tmp_path / "clean").write_bytes(b"before\0" + WAYS[way](b"nothing of the kind is in here") + b"\0after")
    assert scanner.places(files(tmp_path)) == ["env in file object"]


def test_an_embedded_node_that_logs_all_it_can_tells_no_secret_but_the_planted_one(tmp_path: Path) -> None:
    """I18: an upgrade, refused messages and every route; the command line and the other stacks are in `make prove`."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "planted").write_bytes(gzip.compress(MARK.encode()))
    places, found = searched("embedded", tmp_path, ["upgrade"], whole=False)
    assert found == ["variable in file planted"]
    assert places > 100
