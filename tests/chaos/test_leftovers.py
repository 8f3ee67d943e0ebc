"""What the proofs take for left over: known garbage is excused for a while, trees and uploads of nobody are not.

Apart from `test_commands.py` and `test_soak.py`, which are about commands: here all commands have ended well, and
something has stayed.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from storage.objects.s3 import S3Store
from storage.sql.catalogue import SqlCatalogue
from tests.chaos.victim import Death
from tests.prove import leftovers
from tests.prove.audit import audit, orphans
from tests.prove.bench import TENANT, Bench, Known, bench_at
from tests.prove.commands import SCENARIOS
from tests.prove.matrix import Matrix
from tests.prove.promises import broken

LEFT = f"tenants/{TENANT}/packs/nobody"
MINUTE = 60.0
LONG_DUE = leftovers.OVERDUE_SECONDS + 2 * MINUTE


@pytest.fixture
def service(untouched: Matrix, monkeypatch: pytest.MonkeyPatch) -> str:
    """One whose commands have ended well, and whose directory is noted; nobody is waited for."""
    monkeypatch.setattr(leftovers, "PATIENCE", 0.0)
    name, bench = untouched.ready("verify"), untouched.bench
    bench.notes[name]["path"] = bench.home / "data" / "apps" / name
    return name


def known(bench: Bench, key: str, due: float, *, rested: float = 0.0, is_prefix: bool = False) -> None:
    """A row of garbage that has been due for so many seconds, after so many seconds of rest."""
    not_before = int((time.time() - due) * 1000)
    row = {"object_key": key, "is_prefix": is_prefix, "turn": 1, "not_before": not_before}
    with bench._engine.begin() as connection:
        connection.execute(bench._tables["garbage"].insert().values(created_at=not_before - int(rested * 1000), **row))


def nothing_is_due(*_: object) -> list[object]:
    """What a catalogue would say by which nothing is ever collected."""
    return []


def key_of(line: str) -> str:
    """Seconds pass from one look to the next."""
    return line.rpartition(": ")[2]


def audited(bench: Bench, service: str) -> list[str]:
    return audit(bench, bench.asked(service), [service], [])


def test_garbage_that_nobody_has_removed_long_after_it_was_due_is_noticed(untouched: Matrix, service: str) -> None:
    """I17: a row is an excuse for a while, and not for good."""
    bench = untouched.bench
    bench.system.store.put(f"{LEFT}/0", [b"left over"])
    known(bench, f"{LEFT}/", due=LONG_DUE, is_prefix=True)
    row, left = audited(bench, service)
    assert row.startswith("garbage, due for") and row.endswith(f"still known: {LEFT}/")
    assert left == f"nothing refers to {LEFT}/0"


@pytest.mark.parametrize("due", [-MINUTE, 1.0])
def test_garbage_that_is_not_due_yet_or_only_just_is_no_violation(untouched: Matrix, service: str, due: float) -> None:
    """It rests for as long as somebody may write or read it, and nodes look once in a while."""
    bench = untouched.bench
    bench.system.store.put(f"{LEFT}/0", [b"left over"])
    known(bench, f"{LEFT}/", due=due, is_prefix=True)
    assert audited(bench, service) == []


def test_a_row_about_one_object_excuses_no_other_whose_key_begins_like_it(untouched: Matrix, service: str) -> None:
    """I14: pack 10 is not beneath pack 1."""
    bench = untouched.bench
    for number in ("1", "10"):
        bench.system.store.put(f"{LEFT}/{number}", [b"left over"])
    known(bench, f"{LEFT}/1", due=1.0)
    assert orphans(bench) == [f"nothing refers to {LEFT}/10"]


def test_the_audit_waits_for_the_nodes_to_remove_what_is_overdue(
    untouched: Matrix, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was frozen or without its store comes to it later, which is no violation."""
    monkeypatch.setattr(leftovers, "PATIENCE", 10 * MINUTE)
    bench = untouched.bench
    bench.system.store.put(f"{LEFT}/0", [b"left over"])
    known(bench, f"{LEFT}/", due=LONG_DUE, is_prefix=True)
    looks, look = list[int](), bench.garbage

    def looked_before_a_node() -> list[Known]:
        looks.append(len(found := look()))
        if len(looks) == 1:
            assert bench.run([]).exit_code == 0
        return found

    monkeypatch.setattr(bench, "garbage", looked_before_a_node)
    assert audited(bench, service) == []
    assert looks[:2] == [1, 0]


def test_nodes_that_collect_nothing_are_noticed_by_the_promises_and_by_the_audit(
    untouched: Matrix, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I17: everything else goes well with them, and every object that is left is known as garbage."""
    other, bench = untouched.ready("delete"), untouched.bench
    wanted = SCENARIOS["delete"].act(bench, other)
    with monkeypatch.context() as planted:
        planted.setattr(SqlCatalogue, "garbage", nothing_is_due)
        assert bench.run(list(wanted), Death("settle.after-commit", 1)).killed
        assert bench.run(list(wanted)).exit_code == 0
    found = broken(bench, SCENARIOS["delete"], other, wanted)
    assert found and all(line.startswith("garbage, due for") for line in found)
    assert audited(bench, service) == []
    monkeypatch.setattr(leftovers, "OVERDUE_SECONDS", 0.0)
    seen = [line for line in audited(bench, service) if line.startswith("garbage, due for")]
    assert {key_of(line) for line in seen} == {key_of(line) for line in found}


def test_garbage_that_has_rested_for_late_writes_may_be_due_at_the_end_of_a_case(untouched: Matrix) -> None:
    """What a frozen node has left comes due a quarter of an hour later, at any moment of another case."""
    bench = untouched.bench
    known(bench, f"{LEFT}/", due=1.0, rested=15 * MINUTE, is_prefix=True)
    assert leftovers.uncollected(bench) == []
    known(bench, f"{LEFT}/1", due=1.0)
    (said,) = leftovers.uncollected(bench)
    assert said.endswith(f"{LEFT}/1")


def test_what_is_left_staged_or_beside_services_in_the_apps_root_of_a_node_is_noticed(
    untouched: Matrix, tmp_path: Path, service: str
) -> None:
    """I17: nodes that are programs have each an apps root of their own, and nobody else's directories lie there."""
    bench = untouched.bench
    apps, ended = tmp_path / "another-node" / "apps", bench.asked(service)[0].partition("/")[2]
    bench.notes["elsewhere"] = {"path": apps / "elsewhere", "trees": set()}
    (apps / "elsewhere").mkdir(parents=True)
    assert audited(bench, service) == []
    staged = bench.found(service, ended).op_id
    for stray in (f".backstay/{staged}", service):
        (apps / stray).mkdir(parents=True)
    assert audited(bench, service) == [f"still staged: {staged}", f"beside the services' directories: {service}"]


@pytest.mark.parametrize("store_url", ["s3-moto"], indirect=True)
def test_an_upload_that_has_been_open_for_long_or_that_no_sweep_finds_is_noticed(
    tmp_path: Path, store_url: str
) -> None:
    """I17: of a dead process one may be left until its time is over. moto says of each that it began in 2010."""
    with bench_at(tmp_path, BACKSTAY_STORE_URL=store_url) as bench:
        store = bench.system.store
        assert isinstance(store, S3Store)
        assert leftovers.uploads(bench) == []
        for key in ("p/tenants/known", "elsewhere"):
            store._client().create_multipart_upload(Bucket=store._place.bucket, Key=key)
        said = sorted(line.partition(" since ")[0] for line in audit(bench, [], [], []))
    assert [line for line in said if "upload" in line] == [
        "the sweep does not give up the upload of elsewhere",
        "the upload of elsewhere has been open",
        "the upload of p/tenants/known has been open",
    ]


@pytest.mark.parametrize("store_url", ["s3-rgw"], indirect=True)
def test_an_upload_that_a_dead_process_has_just_left_is_given_up_by_the_sweep_and_no_violation(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I17, on Ceph."""
    monkeypatch.setattr(leftovers, "CLOCK_SECONDS", 60.0)
    with bench_at(tmp_path, BACKSTAY_STORE_URL=store_url) as bench:
        store = bench.system.store
        assert isinstance(store, S3Store)
        client, where = store._client(), {"Bucket": store._place.bucket}
        begun = client.create_multipart_upload(**where, Key="p/tenants/known")["UploadId"]
        client.upload_part(**where, Key="p/tenants/known", UploadId=begun, PartNumber=1, Body=b"left")
        assert leftovers.uploads(bench) == []
