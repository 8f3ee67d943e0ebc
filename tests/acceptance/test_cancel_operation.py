"""cancel-operation: it overtakes what it cancels, and never turns an end into another one."""

from __future__ import annotations

from domain.operation import State
from tests.acceptance.platform import Platform, code
from tests.waiting import eventually


def queued(platform: Platform, service: str) -> str:
    """A snapshot that waits for a node that does not run; its operation's id."""
    platform.publish("register-service", {"node": "web-away"}, service=service)
    message_id = platform.publish("create-snapshot", {}, service=service)
    found = eventually(lambda: platform.find(message_id), what="the snapshot is accepted")
    assert found is not None
    return found.op_id


def test_what_has_not_started_is_cancelled_at_once_and_does_not_wait_its_turn(platform: Platform) -> None:
    op_id = queued(platform, "co-queued")
    operation = platform.run("cancel-operation", {"operation_id": op_id}, service="co-queued")
    assert operation.state is State.SUCCEEDED
    found = platform.system.database.ledger.get(op_id)
    assert found is not None and found.state is State.CANCELLED


def test_what_has_ended_stays_as_it_is(platform: Platform) -> None:
    platform.service("co-ended")
    snapshot = platform.snapshot("co-ended")
    operation = platform.run("cancel-operation", {"operation_id": snapshot.snapshot_id}, service="co-ended")
    assert operation.outcome is not None and operation.outcome["figures"]["state"] == "SUCCEEDED"
    assert platform.listed("co-ended") == [snapshot.snapshot_id]


def test_an_unknown_operation_fails(platform: Platform) -> None:
    data = {"operation_id": "0192f0c1-7c9a-7c3f-b7a5-d5e2c1a0b9f8"}
    assert code(platform.run("cancel-operation", data, service="co-none")) == (State.FAILED, "unknown-operation")


def test_another_tenant_s_operation_is_refused_and_goes_on(platform: Platform) -> None:
    op_id = queued(platform, "co-theirs")
    operation = platform.run("cancel-operation", {"operation_id": op_id}, service="co-theirs", tenant="evil")
    assert code(operation) == (State.FAILED, "wrong-tenant")
    found = platform.system.database.ledger.get(op_id)
    assert found is not None and found.state is State.QUEUED
