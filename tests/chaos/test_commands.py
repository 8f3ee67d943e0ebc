"""A sample of `make prove`: some failpoints of every command, killed or frozen beyond the lease; all others there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import handlers
from tests.fakes.region import RegionDouble
from tests.prove.bench import Bench
from tests.prove.commands import SCENARIOS
from tests.prove.matrix import Matrix, held


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    with RegionDouble(fenced=True) as region:
        made = Matrix(Bench(tmp_path_factory.mktemp("prove"), region, {}))
        yield made
        made.bench.close()


def test_every_command_is_among_what_is_proved() -> None:
    """A new command without a scenario would be promised and not proved."""
    assert {scenario.kind for scenario in SCENARIOS.values()} == set(handlers.subscriptions())


@pytest.mark.parametrize("name", ["verify", "export", "import-record", "upgrade-fails"])
def test_whoever_dies_at_a_command_another_finishes_it(matrix: Matrix, name: str) -> None:
    """I1, I2, I5, I13 to I17: one point in the middle of the path; `make prove` takes all."""
    points = held(matrix.points(name))
    matrix.kill(name, points[len(points) // 2])
    assert not matrix.tally.bad


def test_one_that_was_frozen_beyond_its_lease_changes_nothing_when_it_wakes(matrix: Matrix) -> None:
    """I7: two processes believe that they hold the operation, and the one that had lost it goes on where it was."""
    points = [death for death in held(matrix.points("create")) if death.point == "archive.after-publish"]
    before = matrix.tally.two_owners
    matrix.freeze("create", points[0])
    assert not matrix.tally.bad
    assert matrix.tally.two_owners == before + 1


def test_no_secret_can_be_read_afterwards(matrix: Matrix) -> None:
    """I18: in no row, object, file or log; the marked secret is in every service's configuration."""
    assert matrix.bench.secrets_found() == []


def test_the_bench_would_find_a_secret(matrix: Matrix, tmp_path: Path) -> None:
    """A scan that finds nothing must be able to find something."""
    leak = matrix.bench.home / "leak.log"
    leak.write_text("password=pa55word-canary-7f3a")
    found = matrix.bench.secrets_found()
    leak.unlink()
    assert found == ["file leak.log"]
