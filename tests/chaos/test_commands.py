"""A sample of `make prove`: some failpoints of every command, killed or frozen beyond the lease; all others there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

import handlers
from domain.errors import BackstayError
from tests.chaos.victim import Death
from tests.prove import listener
from tests.prove.audit import audit, ends, orphans
from tests.prove.bench import TENANT, bench_at
from tests.prove.commands import SCENARIOS
from tests.prove.matrix import Matrix, held
from tests.prove.promises import broken
from workers.border import Publisher


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    with bench_at(tmp_path_factory.mktemp("prove")) as bench:
        yield Matrix(bench)


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
    for _ in range(6):
        matrix.freeze("create", points[0])
        assert not matrix.tally.bad
        if matrix.tally.two_owners > before:
            break  # else it was frozen with SQLite's lock in its hand: nobody could take over meanwhile
    assert matrix.tally.two_owners == before + 1


def test_a_node_that_ends_badly_before_it_was_to_be_frozen_is_noticed(
    untouched: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not only one that was not frozen."""
    monkeypatch.setattr(untouched.bench, "start", _ends_with_7)
    untouched.freeze("retention", Death("settle.before-commit", 1))
    said = "retention: a node that was to freeze at settle.before-commit#1 ended with 7 before"
    assert (untouched.tally.bad, untouched.tally.reached) == ([said], 0)


def _ends_with_7(*_: Any, **__: Any) -> int:
    pid = os.fork()
    if not pid:
        os._exit(7)
    return pid


def test_no_secret_can_be_read_afterwards(matrix: Matrix) -> None:
    """I18: in no row, object, file or log; the marked secret is in every service's configuration."""
    assert matrix.bench.secrets_found() == []


def test_the_audit_of_a_soak_sees_what_is_left_over_and_what_is_missing(untouched: Matrix) -> None:
    """I13, I14: it looks at a store that is as it should be, and then at one that is not."""
    service = untouched.ready("verify")
    bench = untouched.bench
    messages = bench.asked(service)
    bench.notes[service]["path"] = bench.home / "data" / "apps" / service
    assert audit(bench, messages, [service], []) == []
    bench.system.store.put("tenants/acme/packs/nobody/0", [b"left over"])
    (row,) = bench.system.database.catalogue.find(None, [service], [], 10, None)
    known = bench.system.database.catalogue.get(row.snapshot_id)
    assert known is not None
    bench.system.store.delete(known.packs)
    (bench.notes[service]["path"] / "mixed").write_text("from somewhere else")
    with pytest.raises(BackstayError):  # it cannot even be restored
        audit(bench, messages, [service], [])
    assert orphans(bench) == ["nothing refers to tenants/acme/packs/nobody/0", f"missing: {known.packs[0]}"]
    assert audit(bench, ["never/sent"], [], [])[0] == "never/sent became 0 operations"


def test_what_is_left_staged_or_beside_the_directories_of_services_is_noticed(untouched: Matrix) -> None:
    """I17: of services with a protecting snapshot too, whose packs belong to it."""
    service, bench = untouched.ready("rollback"), untouched.bench
    assert broken(bench, SCENARIOS["hold"], service, {}) == []
    (protecting,) = bench.system.database.catalogue.find(None, [service], [], 10, None)
    apps, ended = bench.home / "data" / "apps", bench.found(service, "before").op_id
    (apps / ".backstay" / ended).mkdir(parents=True)
    (apps / "stray").mkdir()
    left = f"{bench.system.archive.pack_prefix(TENANT, protecting.snapshot_id)}left"
    bench.system.store.put(left, [b"left over"])
    assert broken(bench, SCENARIOS["hold"], service, {}) == [
        f"left over ['{left}'], missing []",
        f"still staged: {ended}",
        "beside the services' directories: stray",
    ]


def test_an_event_that_is_called_told_and_never_comes_is_noticed(
    untouched: Matrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I5: the outbox alone would believe the node."""
    monkeypatch.setattr(Publisher, "event", lambda self, event, routing_key: None)  # of the node, which is forked
    monkeypatch.setattr(listener, "PATIENCE", 0.0)
    (message,) = untouched.bench.asked(untouched.ready("retention"))
    heard = "and what a listener has heard is []"
    assert ends(untouched.bench, [message]) == [f"{message} ended as SUCCEEDED, {heard}"]


def test_the_bench_would_find_a_secret(matrix: Matrix, tmp_path: Path) -> None:
    """A scan that finds nothing must be able to find something."""
    leak, packed = matrix.bench.home / "leak.log", matrix.bench.home / "packed"
    leak.write_text("password=pa55word-canary-7f3a")
    packed.write_bytes(zstandard.compress(b"password=pa55word-canary-7f3a"))
    found = matrix.bench.secrets_found()
    leak.unlink()
    packed.unlink()
    assert found == ["marked secret in file leak.log", "marked secret in file packed"]
