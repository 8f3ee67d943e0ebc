"""set-retention, apply-retention and pin-snapshot: only what the policy does not keep goes, and says so."""

from __future__ import annotations

from typing import Any

from domain.operation import Operation, State
from domain.snapshot import Snapshot
from tests.acceptance.platform import Platform, code, digest, grow
from tests.command_line import answer_of


def taken(platform: Platform, service: str, count: int) -> list[Snapshot]:
    """Snapshots of a tree that grows, oldest first."""
    tree = platform.service(service)
    found = []
    for number in range(count):
        grow(tree, seed=number, files=3)
        found.append(platform.snapshot(service))
    return found


def apply(platform: Platform, service: str, **policy: Any) -> Operation:
    return platform.run("apply-retention", {"policy": policy} if policy else {}, service=service)


def ids(snapshots: list[Snapshot]) -> list[str]:
    return [snapshot.snapshot_id for snapshot in reversed(snapshots)]


def test_only_what_no_rule_keeps_is_deleted_and_the_rest_restores(platform: Platform) -> None:
    """FZ-19."""
    snapshots = taken(platform, "rt-last", 4)
    tree = platform.apps("web-1") / "rt-last"
    now = digest(tree)
    operation = apply(platform, "rt-last", last=2)
    assert operation.outcome is not None
    assert operation.outcome["figures"] == {"deleted": ids(snapshots[:2]), "kept": 2}
    assert platform.listed("rt-last") == ids(snapshots[2:])
    assert platform.system.store.size(snapshots[0].manifest_key) is None
    grow(tree, seed=77, files=2)
    platform.run("restore-snapshot", {"snapshot_id": snapshots[3].snapshot_id}, service="rt-last")
    assert digest(tree) == now


def test_a_service_s_own_policy_is_kept_with_it_and_survives_registering_again(platform: Platform) -> None:
    snapshots = taken(platform, "rt-own", 3)
    assert code(apply(platform, "rt-own")) == (State.FAILED, "no-policy")
    platform.run("set-retention", {"policy": {"last": 1}}, service="rt-own")
    platform.run("register-service", {"node": "web-1", "alias": "again"}, service="rt-own")
    assert apply(platform, "rt-own").state is State.SUCCEEDED
    assert platform.listed("rt-own") == ids(snapshots[2:])
    platform.run("set-retention", {}, service="rt-own")
    assert code(apply(platform, "rt-own")) == (State.FAILED, "no-policy")


def test_a_pinned_snapshot_stays_and_cannot_be_deleted_until_it_is_let_go(platform: Platform) -> None:
    snapshots = taken(platform, "rt-pin", 3)
    pinned = {"snapshot_id": snapshots[0].snapshot_id}
    platform.run("pin-snapshot", {**pinned, "reason": "the audit"}, service="rt-pin")
    apply(platform, "rt-pin", last=1)
    assert platform.listed("rt-pin") == ids([snapshots[0], snapshots[2]])
    refused = platform.run("delete-snapshot", pinned, service="rt-pin")
    assert code(refused) == (State.FAILED, "pinned")
    assert "the audit" in str(refused.outcome)
    platform.run("pin-snapshot", {**pinned, "pinned": False}, service="rt-pin")
    apply(platform, "rt-pin", last=1)
    assert platform.listed("rt-pin") == ids(snapshots[2:])


def test_another_service_s_snapshots_are_no_concern_of_a_policy(platform: Platform) -> None:
    """RS-07, CN-27."""
    mine, others = taken(platform, "rt-a", 2), taken(platform, "rt-a2", 2)
    apply(platform, "rt-a", last=1)
    assert platform.listed("rt-a") == ids(mine[1:])
    assert platform.listed("rt-a2") == ids(others)
    other = platform.run("pin-snapshot", {"snapshot_id": others[0].snapshot_id}, service="rt-a")
    assert code(other) == (State.FAILED, "wrong-tenant")


def test_a_policy_that_keeps_nothing_is_refused_at_the_door(platform: Platform) -> None:
    platform.service("rt-none")
    message = platform.publish("set-retention", {"policy": {"last": 0}}, service="rt-none")
    assert "keep something" in platform.letter_reason(message)


def test_the_plan_on_the_screen_is_what_is_then_done(platform: Platform) -> None:
    snapshots = taken(platform, "rt-plan", 3)
    environment = {"BACKSTAY_DATA_DIR": str(platform.home), "BACKSTAY_NODE": "observer"}

    def cli(*arguments: str) -> Any:
        answer = answer_of(["retention", *arguments, "--json"], environment)
        assert answer.code == 0, answer.err
        return answer.document()

    cli("set", "rt-plan", "--last", "1")
    shown = cli("plan", "rt-plan")["snapshots"]
    assert [one["keep"] for one in shown] == [True, False, False]
    assert shown[0]["reasons"] == ["the newest", "last 1 of 1"]
    assert len(platform.listed("rt-plan")) == 3
    done = cli("apply", "rt-plan")
    assert done["figures"]["deleted"] == [one["snapshot_id"] for one in shown if not one["keep"]]
    assert platform.listed("rt-plan") == ids(snapshots[2:])
