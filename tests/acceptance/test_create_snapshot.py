"""create-snapshot: available means stored, listed by service and label, and nothing else means available."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from domain.compatibility import key, metadata
from domain.operation import State
from tests.acceptance.platform import SOURCE, Platform, code, digest, grow


def test_a_snapshot_is_available_with_its_objects_and_its_names(platform: Platform) -> None:
    """RS-01."""
    platform.service("cs-one")
    snapshot = platform.snapshot("cs-one", "owner:42")
    assert platform.listed("cs-one", labels=("owner:42",)) == [snapshot.snapshot_id]
    assert platform.system.store.size(snapshot.manifest_key)
    assert snapshot.packs and all(platform.system.store.size(pack) for pack in snapshot.packs)
    assert key(snapshot, "owner").split(":")[:3] == ["cs-one", snapshot.snapshot_id, "42"]
    assert f"size:{snapshot.stored_bytes}" in metadata(snapshot)["labels"]


def test_labels_with_colons_and_slashes_are_stored_and_found(platform: Platform) -> None:
    """RS-02, RS-04."""
    platform.service("cs-labels")
    snapshot = platform.snapshot("cs-labels", "path:a:b/c", "owner:1", "owner:2")
    for label in ("path:a:b/c", "owner:1", "owner:2"):
        assert platform.listed("cs-labels", labels=(label,)) == [snapshot.snapshot_id]
    assert [str(label) for label in snapshot.labels] == ["path:a:b/c", "owner:1", "owner:2"]


def test_a_reserved_or_shapeless_label_is_refused_and_nothing_is_made(platform: Platform) -> None:
    """RS-03."""
    platform.service("cs-bad-label")
    for label in ("size:1", "sys.x:1", "nocolon"):
        message_id = platform.publish("create-snapshot", {"labels": [label]}, service="cs-bad-label")
        assert "data.labels.0" in platform.letter_reason(message_id)
    assert platform.listed("cs-bad-label") == []


def test_a_name_with_a_colon_or_a_slash_is_refused_at_the_door(platform: Platform) -> None:
    """RS-04, RS-19."""
    for number, name in enumerate(("a:b", "a/b", "../../etc", "x" * 300)):
        message_id = f"cs-hostile-{number}"
        platform.publish("create-snapshot", {}, service=name, id=message_id)
        assert platform.letter_reason(message_id)


def test_listing_is_exact_by_service_and_never_doubles(platform: Platform) -> None:
    """RS-07."""
    made = {}
    for name in ("app1", "app10", "app1.x"):
        platform.service(name)
        made[name] = platform.snapshot(name).snapshot_id
    assert platform.listed("app1") == [made["app1"]]
    assert sorted(platform.listed("app1", "app1", "app10")) == sorted([made["app1"], made["app10"]])
    assert platform.listed("no-such-service") == []


def test_foreign_objects_in_the_store_disturb_no_listing(platform: Platform) -> None:
    """RS-08: listings are SQL; nobody parses keys."""
    platform.service("cs-junk")
    snapshot = platform.snapshot("cs-junk")
    for name in ("junk", "a:b:c", "a:b:c:d:e", "_metadata/x", "tenants/acme/services/cs-junk/snapshots/x/manifest"):
        foreign = platform.home / "store" / name
        foreign.parent.mkdir(parents=True, exist_ok=True)
        foreign.write_bytes(b"junk")
    assert platform.listed("cs-junk") == [snapshot.snapshot_id]


def test_a_message_delivered_three_times_makes_one_snapshot_and_one_event(platform: Platform) -> None:
    """RS-21, I1, I5."""
    platform.service("cs-thrice")
    for _ in range(3):
        platform.publish("create-snapshot", {}, service="cs-thrice", id="cs-thrice-1")
    platform.outcome("cs-thrice-1")
    platform.run("register-service", {"node": "web-1"}, service="cs-thrice")
    assert len(platform.listed("cs-thrice")) == 1
    kinds = [o.kind for o in platform.system.database.list_operations(service_id="cs-thrice")]
    assert kinds.count("create-snapshot") == 1


def test_the_same_key_with_other_data_is_a_dead_letter_and_runs_nothing(platform: Platform) -> None:
    platform.service("cs-reused")
    platform.publish("create-snapshot", {"labels": ["n:1"]}, service="cs-reused", id="cs-reused-1")
    platform.publish("create-snapshot", {"labels": ["n:2"]}, service="cs-reused", id="cs-reused-1")
    platform.letter_reason("cs-reused-1")
    platform.outcome("cs-reused-1")
    assert len(platform.listed("cs-reused")) == 1
    assert platform.listed("cs-reused", labels=("n:2",)) == []


def test_twenty_snapshots_at_once_hold_each_their_own_service_only(platform: Platform) -> None:
    """RS-12: nobody changes the working directory of the process."""
    before = os.getcwd()
    names = [f"cs-many-{number}" for number in range(20)]
    for number, name in enumerate(names):
        tree = platform.apps("web-1") / name
        grow(tree, seed=number, files=5)
        (tree / "marker").write_text(name)
        platform.publish("register-service", {"node": "web-1"}, service=name)
    messages = [platform.publish("create-snapshot", {}, service=name) for name in names]
    with ThreadPoolExecutor(4) as pool:
        operations = list(pool.map(platform.outcome, messages))
    assert {operation.state for operation in operations} == {State.SUCCEEDED}
    for name, operation in zip(names, operations, strict=True):
        platform.run(
            "restore-snapshot", {"snapshot_id": operation.op_id, "target": {"directory": f"{name}-copy"}}, service=name
        )
        copy = platform.apps("web-1") / f"{name}-copy"
        assert (copy / "marker").read_text() == name
        assert digest(copy) == digest(platform.apps("web-1") / name)
    assert os.getcwd() == before


def test_a_snapshot_of_the_configuration_alone_reads_no_directory(platform: Platform) -> None:
    platform.run("register-service", {"directory": "never-made", "configuration": {"image": "x"}}, service="cs-conf")
    snapshot = platform.snapshot("cs-conf", include=["configuration"])
    assert (snapshot.include, snapshot.files) == (("configuration",), 0)


def test_a_service_without_a_directory_fails_with_what_to_do(platform: Platform) -> None:
    platform.run("register-service", {"directory": "not-there"}, service="cs-nodir")
    operation = platform.run("create-snapshot", {}, service="cs-nodir")
    assert code(operation) == (State.FAILED, "directory-not-found")
    assert operation.outcome is not None and operation.outcome["next_step"]


def test_an_unknown_service_fails_and_is_a_dead_letter(platform: Platform) -> None:
    message_id = platform.publish("create-snapshot", {}, service="cs-nobody")
    assert code(platform.outcome(message_id)) == (State.FAILED, "unknown-service")
    assert platform.letter_reason(message_id)


def test_a_service_of_another_tenant_fails_and_makes_nothing(platform: Platform) -> None:
    platform.service("cs-theirs")
    operation = platform.run("create-snapshot", {}, service="cs-theirs", tenant="evil")
    assert code(operation) == (State.FAILED, "wrong-tenant")
    assert platform.listed("cs-theirs") == []


def test_excluded_files_are_not_in_the_snapshot(platform: Platform) -> None:
    tree = platform.service("cs-exclude")
    (tree / "debug.log").write_text("noise")
    (tree / "keep.txt").write_text("kept")
    snapshot = platform.snapshot("cs-exclude", exclude=["*.log"])
    data = {"snapshot_id": snapshot.snapshot_id, "target": {"directory": "cs-exclude-copy"}}
    platform.run("restore-snapshot", data, service="cs-exclude")
    copy = platform.apps("web-1") / "cs-exclude-copy"
    assert (copy / "keep.txt").exists() and not (copy / "debug.log").exists()


def test_an_unchanged_service_stores_next_to_nothing_the_second_time(platform: Platform) -> None:
    platform.service("cs-twice")
    first, second = platform.snapshot("cs-twice"), platform.snapshot("cs-twice")
    assert second.root_digest == first.root_digest
    assert second.parent_id == first.snapshot_id
    assert second.stored_bytes < first.stored_bytes / 2


def test_the_outcome_event_says_what_the_operation_says(platform: Platform) -> None:
    platform.service("cs-event")
    operation = platform.run("create-snapshot", {}, service="cs-event", correlationid="c-1")
    assert operation.outcome is not None
    assert operation.outcome["figures"]["snapshot_id"] == operation.op_id
    assert (operation.source, operation.correlation_id) == (SOURCE, "c-1")
