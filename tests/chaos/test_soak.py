"""What the audit after `make soak` would notice: the soak itself takes longer than the suite may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.region import RegionDouble
from tests.prove.audit import agreement, audit, ends
from tests.prove.bench import Bench
from tests.prove.commands import SCENARIOS
from tests.prove.matrix import Matrix
from tests.prove.nodes import LEAST_SECONDS, WARM_SECONDS, Node
from tests.simulation.mutants import planted

NOBODYS = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def matrix(tmp_path: Path) -> Iterator[Matrix]:
    with RegionDouble(fenced=True) as region:
        made = Matrix(Bench(tmp_path, region, {}))
        yield made
        made.bench.close()


def test_a_restore_that_is_said_to_have_succeeded_and_has_changed_nothing_is_noticed(matrix: Matrix) -> None:
    """I15: both trees are the service's; only the one that was restored last may be live."""
    service, bench = matrix.ready("restore"), matrix.bench
    note, snapshot = bench.notes[service], bench.found(service, "first").op_id
    SCENARIOS["restore"].act(bench, service)
    other = (note["trees"] - {note["first"]}).pop()
    note |= {"path": bench.home / "data" / "apps" / service, "tree": other, "kept": {snapshot: note["first"]}}
    messages = [f"{service}/proof"]
    assert bench.run(messages).exit_code == 0
    assert audit(bench, messages, [service], []) == []
    note |= {"tree": note["first"], "kept": {snapshot: other}}
    assert audit(bench, messages, [service], []) == [
        f"the live tree of {service} is another one",
        f"{snapshot} of {service} restores to something else",
    ]


def test_an_upgrade_that_is_said_to_have_succeeded_and_left_the_old_version_is_noticed(matrix: Matrix) -> None:
    """I19: console and region may agree, and both be wrong."""
    service, bench = matrix.ready("rollback"), matrix.bench
    assert agreement(bench, [service]) == []
    bench.asked(service).remove(f"{service}/before")
    assert agreement(bench, [service]) == [f"{service} is at v2, and what has succeeded led to v1"]


@pytest.mark.parametrize(
    ("bug", "said"),
    [
        ("items-forgotten", {"the connect_info, env, image, port, volume of {} are not those of v2"}),
        ("left-out-unasked", {"upgrade-service left out {}/env/NEW", "upgrade-service calls itself incomplete"}),
    ],
)
def test_an_upgrade_that_has_brought_its_label_and_nothing_else_is_noticed(
    matrix: Matrix, bug: str, said: set[str]
) -> None:
    """I19: whether it calls itself complete or not, when nothing has refused anything."""
    service, bench = matrix.ready("upgrade"), matrix.bench
    SCENARIOS["upgrade"].act(bench, service)
    with planted(bug):  # of the node, which is forked
        assert bench.run([f"{service}/proof"]).exit_code == 0
    noticed = {line.replace(service, "{}") for line in agreement(bench, [service])}
    assert said <= noticed
    assert said <= {line.replace(service, "{}") for line in SCENARIOS["upgrade"].check(bench, service)}
    assert not [line for line in noticed if line.startswith("region and console")]


def test_a_command_that_fails_for_another_reason_than_the_known_ones_is_noticed(matrix: Matrix) -> None:
    """Whoever takes any FAILED for an end would not see that nothing works any more."""
    service, bench = matrix.ready("retention"), matrix.bench
    asked = [bench.ask(service, kind, {"snapshot_id": NOBODYS}) for kind in ("verify-snapshot", "pin-snapshot")]
    assert bench.run(asked).exit_code == 0
    (said,) = ends(bench, asked)
    assert said.startswith(f"{asked[1]} ended by what should not happen here: FAILED")


@pytest.mark.parametrize(
    ("files", "memory", "seconds", "said"),
    [
        (0, 0, LEAST_SECONDS, ""),
        (60, 0, LEAST_SECONDS, "n holds ever more files"),
        (0, 200_000, LEAST_SECONDS, "n holds ever more KiB of memory"),
        (60, 200_000, LEAST_SECONDS / 2, ""),
    ],
)
def test_a_node_that_holds_ever_more_is_noticed_when_it_was_watched_for_long_enough(
    tmp_path: Path, files: int, memory: int, seconds: float, said: str
) -> None:
    """`files` and `memory` are what has come on top in the end."""
    node, whole = Node("n", {}, tmp_path / "log"), WARM_SECONDS + seconds
    for second in range(int(whole) + 1):
        share = second / whole
        node.seen(float(second), 50 + round(files * share) + second % 7, 200_000 + round(memory * share))
    found = node.grows()
    assert len(found) == bool(said)
    assert all(one.startswith(said) for one in found)
