"""The embedded bench, and a matrix on it, as several tests of the proofs begin: nothing has been done there yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.prove.bench import Bench, bench_at
from tests.prove.matrix import Matrix


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with bench_at(tmp_path) as made:
        yield made


@pytest.fixture
def untouched(bench: Bench) -> Matrix:
    """No scenario has taken rows away."""
    return Matrix(bench)
