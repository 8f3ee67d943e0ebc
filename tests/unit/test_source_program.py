"""One run of a source's program: what it says is kept in part, and told in part."""

from __future__ import annotations

import os

import pytest

from domain.errors import Refused
from storage.sources import program


def test_of_endless_errors_only_the_last_lie_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """FZ-08."""
    monkeypatch.setattr(program, "MOST_KEPT", 1 << 20)
    # Its output is more than a pipe holds, so it goes on only as fast as it is read.
    part = "head -c 1048576 /dev/urandom >&2; head -c 200000 /dev/zero"
    script = f"for part in 1 2 3 4 5 6; do {part}; done; echo 'no table' >&2; exit 3"
    view = memoryview(bytearray(4096))
    with program.running("the program", ["sh", "-c", script], {}, 60.0, stdout=-1) as running:
        while running.fill(view, lambda: None):
            assert os.fstat(running._errors.fileno()).st_blocks * 512 <= 3 << 20
        with pytest.raises(Refused, match=r"ended with code 3.*no table"):
            running.wait(lambda: None)
