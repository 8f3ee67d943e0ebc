"""What is fuzzed: a name, a reader that takes any bytes, and bytes to begin with.

Apart from the readers, so that a run under `atheris` and the sample in the suite treat all of them alike. A reader
returns, or raises one of the errors that it promises and swallows itself; whatever else comes out of it is a finding.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_FOUND = Path(__file__).with_name("found.tsv")


@dataclass(frozen=True, slots=True)
class Target:
    """One reader. `one` may be called from one thread at a time, `seeds` once per process; `lives` raises when the
    reader has not survived what it was given."""

    name: str
    one: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    lives: Callable[[], None] = lambda: None

    def known(self) -> list[bytes]:
        """What it once stumbled over."""
        return [data for name, data in found() if name == self.name]


def found() -> list[tuple[str, bytes]]:
    """Inputs that were findings once, each with its target."""
    lines = (line.split("\t") for line in _FOUND.read_text().splitlines() if not line.startswith("#"))
    return [(name, ast.literal_eval(data)) for name, data, _what in lines]


def changed(seed: bytes, draw: random.Random, times: int) -> Iterator[bytes]:
    """The seed with a few bytes of it changed, cut or repeated: what a fuzzer does first, without a fuzzer."""
    for _ in range(times):
        data = bytearray(seed)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(data) + 1)
            match draw.randrange(4):
                case 0:
                    data[at : at + 1] = bytes([draw.randrange(256)])
                case 1:
                    del data[at : at + draw.randint(1, 16)]
                case 2:
                    data[at:at] = data[at : at + draw.randint(1, 64)]
                case _:
                    data[at:at] = draw.choice((b"\0", b"\xff", b'"', b"{", b"[", b"9" * 20, b"-", b"/../", b"%", b":"))
        yield bytes(data)


def spread(*readers: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """One reader of several: the first byte chooses, the rest is what it gets."""

    def one(data: bytes) -> None:
        if data:
            readers[data[0] % len(readers)](data[1:])

    return one
