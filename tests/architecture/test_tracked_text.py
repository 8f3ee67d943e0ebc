"""What must never be written into a file that git keeps: secrets, this machine, unfinished thoughts."""

from __future__ import annotations

import re

import pytest

from tests.architecture.source import ROOT, explain, tracked_files

#: what -> (pattern, why). The patterns are written so that they do not find themselves.
FORBIDDEN = {
    "private key": (r"-----BEGIN [A-Z ]*PRIVATE[ ]KEY-----", "a key in a repository belongs to everybody"),
    "cloud credential": (r"\b(AKIA|ASIA)[A-Z0-9]{16}\b", "a key in a repository belongs to everybody"),
    "path of one machine": (
        r"(?<![\w.])/(work|root|home/[a-z]\w*|Users/\w+)/",
        "nobody else has that folder",
    ),
    "package index": (
        r"--(extra-)?index-url\b|--find[-]links\b|https?://(files|registry|deb|security|pypi)\.",
        "where packages come from is the business of whoever installs them",
    ),
    "neighbouring folder": (r"\.\./[s]hared\b", "it is no part of this repository"),
    "unfinished mark": (r"\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b", "finish it, or write down that it is missing"),
    "unimplemented part": (r"NotImplemented[E]rror", "a stub is a promise that nobody made"),
    "number of an issue": (r"(?i)\bissue\s+#\d+|\(#\d+\)", "say what is so; the number means nothing here"),
}
#: Formats that a person did not write.
BINARY = (".bin", ".png", ".gz", ".zst", ".whl")


def _lines() -> list[tuple[str, int, str]]:
    return [
        (name, number, line)
        for name in tracked_files()
        if not name.endswith(BINARY)
        for number, line in enumerate((ROOT / name).read_text(encoding="utf-8").splitlines(), 1)
    ]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_contains_a(what: str) -> None:
    pattern, reason = FORBIDDEN[what]
    sought = re.compile(pattern)
    found = [f"{name}:{number} {match.group()}" for name, number, line in _lines() if (match := sought.search(line))]
    assert not found, explain(found, reason)


@pytest.mark.parametrize(
    ("what", "sample"),
    [
        ("cloud credential", "AKIA" + "ABCDEFGHIJKLMNOP"),
        ("path of one machine", "open('/ro" + "ot/x')"),
        ("package index", "--index" + "-url x"),
        ("unfinished mark", "# TO" + "DO later"),
        ("number of an issue", "fixes issue " + "#12"),
    ],
)
def test_the_patterns_find_what_they_forbid(what: str, sample: str) -> None:
    assert re.search(FORBIDDEN[what][0], sample)


def test_no_tracked_file_is_large() -> None:
    large = [name for name in tracked_files() if (ROOT / name).stat().st_size > 2_000_000]
    assert not large, explain(large, "a clone carries every version of it for ever")
