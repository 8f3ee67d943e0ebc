"""The JSON API over a real server: who is asked for, what is answered, and that a command becomes one operation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain import failpoint
from domain.contracts import Rejected
from domain.node import NodeReport
from domain.operation import State
from domain.outcome import AddSnapshot, Outcome, SaveService
from domain.schedule import Schedule
from domain.schedule_changes import SaveSchedule
from domain.service import Service
from tests.contract.sql_bench import snapshot
from tests.site import TESTER, Reply, Site, site
from workers.clock import SystemClock
from workers.health import Health
from workers.serving import server_of
from workers.wiring import metrics_of, replaying_of

SNAP = "0192f0c1-0000-7000-8000-000000000001"
OTHER = "0192f0c1-0000-7000-8000-000000000002"
NOWHERE = "0192f0c1-ffff-7fff-8fff-ffffffffffff"
GIVE = "/api/v1/tenants/acme/services/web/create-snapshot"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "data") as opened:
        yield opened


def settle(here: Site, *changes: Any) -> str:
    """End the oldest operation well, with these rows; its id."""
    claim = here.claim()
    here.system.database.ledger.settle(claim, Outcome(State.SUCCEEDED, "it is done", changes=changes))
    return claim.operation.op_id


def stocked(here: Site) -> str:
    """Services of two tenants with a snapshot each; an admin's token."""
    admin = here.token("root", everywhere="admin")
    for tenant, name, snapshot_id, taken in (("acme", "web", SNAP, 1_000), ("beta", "shop", OTHER, 2_000)):
        here.ask("POST", f"/api/v1/tenants/{tenant}/services/{name}/create-snapshot", admin, data={})
        service = Service(service_id=name, tenant_id=tenant, alias=name, directory=f"{tenant}/{name}", node="n1")
        made = snapshot(snapshot_id, tenant_id=tenant, service_id=name, taken_at=taken)
        settle(here, SaveService(service), AddSnapshot(made))
    return admin


def problem(reply: Reply) -> tuple[int, str]:
    """Status and code of an error, which has the form of RFC 9457."""
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.document["status"] == reply.status
    assert reply.document["type"] == f"urn:backstay:problem:{reply.document['code']}"
    assert reply.document["detail"] and reply.document["title"]
    return reply.status, reply.document["code"]


# ---------------------------------------------------------------- who asks
@pytest.mark.parametrize("header", [None, "Bearer ", "Bearer bks_wrong", "Basic YTpi", "Bearer " + "x" * 5000])
def test_without_a_usable_token_nothing_is_told(here: Site, header: str | None) -> None:
    given: dict[str, Any] = {} if header is None else {"authorization": header}
    for method, path in (("GET", "/api/v1/me"), ("GET", "/api/v1/operations"), ("POST", GIVE)):
        reply = here.ask(method, path, data={} if method == "POST" else None, **given)
        assert problem(reply) == (401, "not-authenticated")
        assert reply.headers["www-authenticate"].startswith("Bearer")
    assert here.system.database.inbox.backlog() == 0


def test_a_token_that_was_revoked_or_whose_time_is_over_opens_nothing(here: Site) -> None:
    secret = here.token("anna", everywhere="admin")
    assert here.ask("GET", "/api/v1/me", secret).document["name"] == "anna"
    (token,) = here.system.database.tokens.list()
    here.system.database.tokens.revoke(token.token_id, TESTER)
    assert problem(here.ask("GET", "/api/v1/me", secret)) == (401, "not-authenticated")


def test_one_is_told_what_one_may_do_where(here: Site) -> None:
    told = here.ask("GET", "/api/v1/me", here.token("anna", acme="operator", beta="viewer")).document
    assert told["roles"] == {"acme": "operator", "beta": "viewer"}
    assert "snapshots.restore" in told["may"]["acme"] and "snapshots.delete" not in told["may"]["acme"]
    assert "snapshots.read" in told["may"]["beta"] and "snapshots.create" not in told["may"]["beta"]


# ---------------------------------------------------------------- tenants are apart
def test_lists_show_the_tenants_that_one_may_see_and_no_other(here: Site) -> None:
    stocked(here)
    acme, both, nobody = here.token("a", acme="viewer"), here.token("b", acme="viewer", beta="viewer"), here.token("n")
    for path, name in (("operations", "operations"), ("services", "services"), ("snapshots", "snapshots")):
        seen = {
            caller: [item["tenant_id"] for item in here.ask("GET", f"/api/v1/{path}", token).document[name]]
            for caller, token in (("acme", acme), ("both", both), ("nobody", nobody))
        }
        assert set(seen["acme"]) == {"acme"} and set(seen["both"]) == {"acme", "beta"} and not seen["nobody"], path
        assert problem(here.ask("GET", f"/api/v1/{path}?tenant=beta", acme)) == (403, "not-allowed")


def test_what_belongs_to_another_tenant_does_not_exist(here: Site) -> None:
    """In the very words of what does not exist at all: nobody learns which ids there are."""
    admin = stocked(here)
    operation = here.ask("GET", "/api/v1/operations?tenant=beta", admin).document["operations"][0]["operation_id"]
    acme = here.token("a", acme="admin")
    for path, absent in (
        (f"operations/{operation}", f"operations/{NOWHERE}"),
        (f"operations/{operation}/story", f"operations/{NOWHERE}/story"),
        (f"snapshots/{OTHER}", f"snapshots/{NOWHERE}"),
        ("services/shop", "services/absent"),
        ("services/shop/history", "services/absent/history"),
    ):
        hidden, missing = (here.ask("GET", f"/api/v1/{name}", acme) for name in (path, absent))
        assert problem(hidden)[0] == 404
        assert here.ask("GET", f"/api/v1/{path}", admin).status == 200
        name, other = path.split("/")[1], absent.split("/")[1]
        assert hidden.text.replace(name, "X") == missing.text.replace(other, "X")
    assert problem(here.ask("POST", f"/api/v1/operations/{operation}/cancel", acme))[0] == 404
    assert problem(here.ask("POST", f"/api/v1/snapshots/{OTHER}/link", acme, data={}))[0] == 404


@pytest.mark.parametrize("path", ["nodes", "settings"])
def test_what_belongs_to_the_installation_takes_a_role_everywhere(here: Site, path: str) -> None:
    assert problem(here.ask("GET", f"/api/v1/{path}", here.token("a", acme="admin"))) == (403, "not-allowed")
    assert here.ask("GET", f"/api/v1/{path}", here.token("b", everywhere="operator")).status == 200


def test_settings_are_shown_without_secrets(tmp_path: Path) -> None:
    with site(tmp_path / "data", AWS_X="", BACKSTAY_SECRET_KEYS="k1:" + "QUFB" * 10 + "QUE=") as here:
        reply = here.ask("GET", "/api/v1/settings", here.token("root", everywhere="admin"))
    assert "QUFB" not in reply.text
    assert {"BACKSTAY_SECRET_KEYS", "DATABASE_URL"} <= {one["name"] for one in reply.document["settings"]}


# ---------------------------------------------------------------- commands
def test_a_command_is_in_the_inbox_when_the_answer_comes(here: Site) -> None:
    operator = here.token("anna", acme="operator")
    reply = here.ask("POST", GIVE, operator, data={"labels": ["why:test"]})
    assert reply.status == 202 and here.woken == 1
    operation = here.system.database.ledger.get(reply.document["operation_id"])
    assert operation is not None and operation.state is State.QUEUED and operation.data == {"labels": ["why:test"]}
    assert (operation.source, operation.tenant_id, operation.service_id) == ("/backstay/api/anna", "acme", "web")
    assert reply.headers["location"] == f"/api/v1/operations/{operation.op_id}"
    assert here.ask("GET", reply.headers["location"], operator).document["state"] == "QUEUED"


def test_a_command_is_in_the_audit_trail_with_who_gave_it_and_which_way(here: Site) -> None:
    admin = here.token("root", everywhere="admin")
    given = here.ask("POST", GIVE, here.token("anna", acme="operator"), data={}).document
    (entry,) = here.ask("GET", "/api/v1/audit?tenant=acme", admin).document["entries"]
    assert (entry["actor"], entry["way"], entry["action"]) == ("anna", "api", "create-snapshot")
    assert entry["detail"]["operation_id"] == given["operation_id"]


def test_the_same_key_with_the_same_command_is_one_operation(here: Site) -> None:
    operator = here.token("anna", acme="operator")
    keys = ("k-1", '"k-1"')  # quoted as the header's draft standard has it, or bare
    first, second = (here.ask("POST", GIVE, operator, data={}, Idempotency_Key=key) for key in keys)
    assert (first.document["repeated"], second.document["repeated"]) == (False, True)
    assert first.document["operation_id"] == second.document["operation_id"]
    assert first.status == second.status == 202
    assert here.system.database.inbox.backlog() == 1


def test_the_same_key_with_another_command_is_refused_and_leaves_nothing(here: Site) -> None:
    operator = here.token("anna", acme="operator")
    here.ask("POST", GIVE, operator, data={}, Idempotency_Key="k-1")
    changed = here.ask("POST", GIVE, operator, data={"labels": ["a:b"]}, Idempotency_Key="k-1")
    elsewhere = here.ask("POST", GIVE.replace("web", "other"), operator, data={}, Idempotency_Key="k-1")
    assert problem(changed) == problem(elsewhere) == (409, "key-reused")
    assert here.system.database.inbox.backlog() == 1
    assert here.system.database.dead_letters.list(resolved=True, limit=10, before=None) == []


def test_the_same_key_of_another_caller_is_another_command(here: Site) -> None:
    for name in ("anna", "bert"):
        reply = here.ask("POST", GIVE, here.token(name, acme="operator"), data={}, Idempotency_Key="k-1")
        assert reply.document["repeated"] is False
    assert here.system.database.inbox.backlog() == 2


@pytest.mark.parametrize(
    ("data", "field"),
    [({"labels": "x"}, "labels"), ({"label": []}, "label"), ({"labels": ["no colon"]}, "labels"), ([], "body")],
)
def test_a_command_that_intake_would_refuse_is_refused_here_and_the_field_is_named(
    here: Site, data: Any, field: str
) -> None:
    reply = here.ask("POST", GIVE, here.token("anna", acme="operator"), data=data)
    assert problem(reply)[0] == 422
    assert field in reply.document["field"] or field in reply.document["detail"]
    assert here.system.database.inbox.backlog() == 0


@pytest.mark.parametrize(
    ("role", "allowed"),
    [("viewer", set()), ("operator", {"create-snapshot"}), ("admin", {"create-snapshot", "delete-snapshot"})],
)
def test_a_role_decides_which_commands_are_taken(here: Site, role: str, allowed: set[str]) -> None:
    token = here.token("anna", acme=role)
    data = {"create-snapshot": {}, "delete-snapshot": {"snapshot_id": SNAP}}
    for kind, given in data.items():
        reply = here.ask("POST", f"/api/v1/tenants/acme/services/web/{kind}", token, data=given)
        assert (reply.status == 202) is (kind in allowed)
        assert reply.status == 202 or problem(reply) == (403, "not-allowed")
        assert problem(here.ask("POST", f"/api/v1/tenants/beta/services/web/{kind}", token, data=given))[0] == 403
    assert here.system.database.inbox.backlog() == len(allowed)


def test_a_tenants_admin_names_no_directory(here: Site) -> None:
    """It could be another tenant's that nobody has registered yet."""
    tenants, whole = here.token("anna", acme="admin"), here.token("root", everywhere="admin")
    place = {"snapshot_id": SNAP, "target": {"directory": "beta/secrets"}}
    for kind, data in (("register-service", {"directory": "beta/secrets"}), ("restore-snapshot", place)):
        path = f"/api/v1/tenants/acme/services/web/{kind}"
        assert problem(here.ask("POST", path, tenants, data=data)) == (403, "not-allowed")
        assert here.ask("POST", path, whole, data=data).status == 202


def test_an_answer_that_is_lost_is_given_again_to_who_repeats_the_key(here: Site) -> None:
    """The process fails between the commit and the answer: the publisher cannot know whether it was accepted."""
    operator = here.token("anna", acme="operator")

    def fail(name: str) -> None:
        if name == "accept.after-commit":
            raise RuntimeError("killed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failpoint, "hook", fail)
        lost = here.ask("POST", GIVE, operator, data={}, Idempotency_Key="k-1")
    assert problem(lost) == (500, "internal-error")
    again = here.ask("POST", GIVE, operator, data={}, Idempotency_Key="k-1")
    assert (again.status, again.document["repeated"]) == (202, True)
    assert here.system.database.inbox.backlog() == 1


# ---------------------------------------------------------------- operations
def test_pages_of_operations_cover_all_of_them_once(here: Site) -> None:
    both = here.token("b", acme="operator", beta="operator")
    for number in range(7):
        tenant = "acme" if number % 3 else "beta"
        here.ask("POST", f"/api/v1/tenants/{tenant}/services/s{number}/create-snapshot", both, data={})
    seen: list[str] = []
    following = ""
    while True:
        answer = here.ask("GET", f"/api/v1/operations?limit=3{following}", both).document
        seen += [operation["service_id"] for operation in answer["operations"]]
        if answer["next"] is None:
            break
        following = f"&before={answer['next']}"
    assert seen == [f"s{number}" for number in reversed(range(7))]


def test_operations_are_found_by_state_type_and_service(here: Site) -> None:
    admin = stocked(here)
    here.ask("POST", GIVE, admin, data={})

    def found(query: str) -> int:
        return len(here.ask("GET", f"/api/v1/operations?{query}", admin).document["operations"])

    assert (found("state=QUEUED"), found("state=SUCCEEDED"), found("state=QUEUED&state=SUCCEEDED")) == (1, 2, 3)
    assert (found("service=web"), found("kind=create-snapshot"), found("kind=rollback")) == (2, 3, 0)


def test_a_misspelt_filter_is_refused_because_it_would_show_everything(here: Site) -> None:
    reply = here.ask("GET", "/api/v1/operations?sate=STUCK", here.token("root", everywhere="admin"))
    assert problem(reply) == (422, "unknown-parameter")
    assert reply.document["field"] == "sate" and "state" in reply.document["detail"]


def test_cancelling_what_has_not_begun_ends_it_at_once_and_a_second_time_changes_nothing(here: Site) -> None:
    operator = here.token("anna", acme="operator")
    operation = here.ask("POST", GIVE, operator, data={}).document["operation_id"]
    for _ in range(2):
        reply = here.ask("POST", f"/api/v1/operations/{operation}/cancel", operator)
        assert (reply.status, reply.document["state"]) == (202, "CANCELLED")
    entries = here.system.database.audit.list(action="operation.cancel")
    assert [entry.actor for entry in entries] == ["anna"]


def test_cancelling_what_has_ended_says_so(here: Site) -> None:
    admin = stocked(here)
    operation = here.ask("GET", "/api/v1/operations?service=web", admin).document["operations"][0]["operation_id"]
    assert problem(here.ask("POST", f"/api/v1/operations/{operation}/cancel", admin)) == (409, "already-ended")


def test_a_viewer_cannot_cancel(here: Site) -> None:
    operation = here.ask("POST", GIVE, here.token("anna", acme="operator"), data={}).document["operation_id"]
    reply = here.ask("POST", f"/api/v1/operations/{operation}/cancel", here.token("bert", acme="viewer"))
    assert problem(reply) == (403, "not-allowed")
    assert here.system.database.inbox.backlog() == 1


def stuck(here: Site) -> str:
    operation: str = here.ask("POST", GIVE, here.token("maker", acme="operator"), data={}).document["operation_id"]
    claim = here.claim()
    here.system.database.ledger.turn_back(claim, Outcome(State.FAILED, "it broke", code="broken"))
    here.system.database.ledger.settle(claim, Outcome(State.STUCK, "it could not be put back", code="broken"))
    return operation


def test_an_operator_lets_a_stuck_operation_try_again_and_only_an_admin_declares_it_ended(here: Site) -> None:
    operation = stuck(here)
    path = f"/api/v1/operations/{operation}/resolve"
    operator, admin = here.token("anna", acme="operator"), here.token("bert", acme="admin")
    accept = {"how": "accept", "reason": "put back by hand"}
    assert problem(here.ask("POST", path, operator, data=accept)) == (403, "not-allowed")
    assert problem(here.ask("POST", path, operator, data={"how": "retry"}))[0] == 422, "it wants a reason"
    again = here.ask("POST", path, operator, data={"how": "retry", "reason": "the region is back"})
    assert again.document["state"] == "COMPENSATING"
    assert problem(here.ask("POST", path, admin, data=accept)) == (409, "not-stuck")


def test_an_admins_word_ends_a_stuck_operation(here: Site) -> None:
    operation = stuck(here)
    word = {"how": "accept", "reason": "put back by hand"}
    reply = here.ask("POST", f"/api/v1/operations/{operation}/resolve", here.token("bert", acme="admin"), data=word)
    assert reply.document["state"] == "ROLLED_BACK"
    story = here.ask("GET", f"/api/v1/operations/{operation}/story", here.token("c", acme="viewer")).document
    assert story["summary"] and story["story"] == []


# ---------------------------------------------------------------- nodes
def test_a_node_is_drained_and_taken_back_with_a_reason_that_the_trail_keeps(here: Site) -> None:
    here.system.database.nodes.beat("n1", "boot", "1", NodeReport())
    operator = here.token("anna", everywhere="operator")
    why = {"reason": "new disk"}
    assert problem(here.ask("POST", "/api/v1/nodes/n1/drain", here.token("b", acme="admin"), data=why))[0] == 403
    assert problem(here.ask("POST", "/api/v1/nodes/n1/drain", operator, data={}))[0] == 422
    drained = here.ask("POST", "/api/v1/nodes/n1/drain", operator, data=why).document
    assert (drained["standing"], drained["drained_by"], drained["drain_reason"]) == ("drained", "anna", "new disk")
    assert here.ask("GET", "/api/v1/nodes/n1", operator).document["standing"] == "drained"
    assert here.ask("POST", "/api/v1/nodes/n1/undrain", operator, data=why).document["standing"] == "ready"
    actions = [(entry.action, entry.way) for entry in here.system.database.audit.list(actor="anna")]
    assert actions == [("node.undrain", "api"), ("node.drain", "api")]


def test_a_node_that_lives_is_not_forgotten_and_one_that_never_was_is_not_found(here: Site) -> None:
    here.system.database.nodes.beat("n1", "boot", "1", NodeReport())
    admin, why = here.token("root", everywhere="admin"), {"reason": "gone"}
    assert problem(here.ask("POST", "/api/v1/nodes/n1/forget", admin, data=why)) == (409, "busy")
    assert problem(here.ask("POST", "/api/v1/nodes/n2/forget", admin, data=why)) == (404, "unknown-node")
    assert problem(here.ask("GET", "/api/v1/nodes/n2", admin)) == (404, "unknown-node")


def test_what_runs_is_neither_moved_nor_given_up(here: Site) -> None:
    here.system.database.nodes.beat("n1", "boot", "1", NodeReport())
    admin = here.token("root", everywhere="admin")
    operation = here.ask("POST", GIVE, admin, data={}).document["operation_id"]
    here.claim()
    move = here.ask("POST", f"/api/v1/operations/{operation}/move", admin, data={"to": "n1", "reason": "x"})
    give_up = here.ask("POST", f"/api/v1/operations/{operation}/give-up", admin, data={"reason": "x"})
    assert problem(move)[0] == problem(give_up)[0] == 409
    assert here.ask("GET", f"/api/v1/operations/{operation}", admin).document["state"] == "RUNNING"


# ---------------------------------------------------------------- services and snapshots
def test_a_service_is_shown_with_its_newest_snapshot_and_without_its_configuration(here: Site) -> None:
    admin = stocked(here)
    shown = here.ask("GET", "/api/v1/services/web", admin).document
    assert shown["newest_snapshot"]["snapshot_id"] == SNAP
    assert shown["version"] is None and shown["retention"] is None
    assert "document" not in shown and "configuration" not in shown


def test_pages_of_services_cover_all_of_them_once(here: Site) -> None:
    admin = stocked(here)
    first = here.ask("GET", "/api/v1/services?limit=1", admin).document
    second = here.ask("GET", f"/api/v1/services?limit=1&after={first['next']}", admin).document
    assert [page["services"][0]["service_id"] for page in (first, second)] == ["shop", "web"]
    assert second["next"] is None


def test_snapshots_are_found_by_service_newest_first_over_tenants(here: Site) -> None:
    stocked(here)
    both = here.token("b", acme="viewer", beta="viewer")
    assert [s["snapshot_id"] for s in here.ask("GET", "/api/v1/snapshots", both).document["snapshots"]] == [OTHER, SNAP]
    found = here.ask("GET", "/api/v1/snapshots?service=web&service=absent", both).document["snapshots"]
    assert [one["snapshot_id"] for one in found] == [SNAP]
    page = here.ask("GET", "/api/v1/snapshots?limit=1", both).document
    rest = here.ask("GET", f"/api/v1/snapshots?limit=1&before={page['next']}", both).document
    assert rest["snapshots"][0]["snapshot_id"] == SNAP and rest["next"] is None


def test_a_link_is_for_admins_and_needs_an_export(here: Site) -> None:
    admin = stocked(here)
    path = f"/api/v1/snapshots/{SNAP}/link"
    assert problem(here.ask("POST", path, here.token("o", acme="operator"), data={})) == (403, "not-allowed")
    assert problem(here.ask("POST", path, admin, data={})) == (404, "not-exported")
    export = here.ask("POST", "/api/v1/tenants/acme/services/web/export-snapshot", admin, data={"snapshot_id": SNAP})
    preparing = here.ask("POST", path, admin, data={}).document
    assert (preparing["state"], preparing["operation_id"]) == ("preparing", export.document["operation_id"])


def test_a_plan_of_what_is_not_there_says_what_is_missing(here: Site) -> None:
    admin = stocked(here)
    assert problem(here.ask("GET", "/api/v1/services/web/plans/upgrade?version=v2", admin))[0] in (404, 409)
    assert problem(here.ask("GET", "/api/v1/services/web/plans/rollback", admin))[0] in (404, 409)
    assert problem(here.ask("GET", "/api/v1/services/web/plans/retention", admin)) == (409, "no-policy")
    assert here.ask("GET", "/api/v1/versions?tenant=acme", admin).document == {"versions": [], "next": None}


def test_how_much_would_be_lost_is_told_of_each_service_one_may_see(here: Site) -> None:
    admin = stocked(here)
    points = here.ask("GET", "/api/v1/recovery-points", admin).document["services"]
    assert {point["service_id"] for point in points} == {"web", "shop"}
    mine = here.ask("GET", "/api/v1/recovery-points", here.token("a", acme="viewer")).document["services"]
    assert [point["service_id"] for point in mine] == ["web"]
    assert here.ask("GET", "/api/v1/services/web", admin).document["rpo"]["newest_at"] is not None


def test_a_schedule_is_shown_to_its_tenant_only(here: Site) -> None:
    admin = here.token("root", everywhere="admin")
    data = {"kind": "create-snapshot", "cron": "30 2 * * *"}
    given = here.ask("POST", "/api/v1/tenants/acme/services/nightly/set-schedule", admin, data=data)
    assert given.status == 202
    schedule = Schedule(tenant_id="acme", name="nightly", kind="create-snapshot", cron="30 2 * * *", next_at=1)
    settle(here, SaveSchedule(schedule))
    shown = here.ask("GET", "/api/v1/schedules", here.token("a", acme="viewer")).document["schedules"]
    assert [one["name"] for one in shown] == ["nightly"]
    beta = here.token("b", beta="admin")
    assert here.ask("GET", "/api/v1/schedules", beta).document["schedules"] == []
    history = "/api/v1/tenants/acme/schedules/nightly/history"
    assert here.ask("GET", history, admin).document == {"history": [], "next": None}
    assert problem(here.ask("GET", history, beta)) == (403, "not-allowed")
    assert problem(here.ask("GET", history.replace("nightly", "absent"), admin)) == (404, "unknown-schedule")


def test_an_operator_schedules_no_deletions(here: Site) -> None:
    operator = here.token("anna", acme="operator")
    path = "/api/v1/tenants/acme/services/sweep/set-schedule"
    refused = here.ask("POST", path, operator, data={"kind": "apply-retention", "cron": "@daily"})
    assert problem(refused) == (403, "not-allowed")
    assert here.ask("POST", path, operator, data={"kind": "create-snapshot", "cron": "@daily"}).status == 202


# ---------------------------------------------------------------- dead letters
def broken(here: Site, count: int, tenant: str = "acme", code: str = "directory-not-found") -> list[str]:
    """Failed operations of so many services; the ids of their dead letters, oldest first."""
    admin = here.token(f"maker-{tenant}-{code}", everywhere="admin")
    for number in range(count):
        here.ask("POST", f"/api/v1/tenants/{tenant}/services/{code}-{number}/create-snapshot", admin, data={})
        claim = here.claim()
        here.system.database.ledger.settle(claim, Outcome(State.FAILED, "the directory is gone", code=code))
    found = here.ask("GET", f"/api/v1/dead-letters?tenant={tenant}&reason={code}", admin).document["dead_letters"]
    return [letter["dead_letter_id"] for letter in reversed(found)]


def test_dead_letters_come_in_groups_by_cause_and_one_sees_those_of_ones_tenants(here: Site) -> None:
    broken(here, 2)
    broken(here, 1, code="snapshot-not-found")
    broken(here, 1, tenant="beta")
    viewer = here.token("a", acme="viewer")
    assert len(here.ask("GET", "/api/v1/dead-letters", viewer).document["dead_letters"]) == 3
    groups = here.ask("GET", "/api/v1/dead-letters/groups", viewer).document["groups"]
    assert [(group["reason"], group["letters"]) for group in groups] == [
        ("directory-not-found", 2),
        ("snapshot-not-found", 1),
    ]
    assert len(here.ask("GET", "/api/v1/dead-letters", here.token("n")).document["dead_letters"]) == 0


def test_a_message_that_nobody_could_read_is_nobodys_and_takes_a_role_everywhere(here: Site) -> None:
    here.system.database.inbox.accept([Rejected(b"{secret", "undecodable", "the body is not JSON")])
    whole, tenants = here.token("w", everywhere="admin"), here.token("a", acme="admin")
    (letter,) = here.ask("GET", "/api/v1/dead-letters", whole).document["dead_letters"]
    path = f"/api/v1/dead-letters/{letter['dead_letter_id']}"
    shown = here.ask("GET", path, whole)
    assert shown.document["advice"]["verdict"] == "impossible" and "secret" not in shown.text
    assert problem(here.ask("GET", path, tenants)) == (404, "unknown-dead-letter")
    assert problem(here.ask("GET", f"{path}/message", here.token("o", everywhere="operator")))[0] == 403
    assert here.ask("GET", f"{path}/message", whole).document["text"] == "{secret"
    (entry,) = here.system.database.audit.list(action="dead-letter.read-raw")
    assert entry.actor == "w"


def test_a_letter_is_replayed_once_whoever_asks_and_both_know_of_each_other(here: Site) -> None:
    (letter,) = broken(here, 1)
    operator, path = here.token("o", acme="operator"), f"/api/v1/dead-letters/{letter}/replay"
    assert problem(here.ask("POST", path, here.token("v", acme="viewer"), data={})) == (403, "not-allowed")
    first, second = (here.ask("POST", path, operator, data={}).document for _ in range(2))
    assert (first["replayed_now"], second["replayed_now"]) == (True, False)
    made = here.system.database.ledger.get(first["replay_operation_id"])
    assert made is not None and made.causation_id == first["operation_id"] and made.state is State.QUEUED
    assert here.system.database.inbox.backlog() == 1


def test_a_plan_tells_what_has_been_done_meanwhile_and_a_replay_heeds_it(here: Site) -> None:
    (letter,) = broken(here, 1)
    operator = here.token("o", acme="operator")
    again = "/api/v1/tenants/acme/services/directory-not-found-0/create-snapshot"
    here.ask("POST", again, operator, data={})
    settle(here)
    plan = here.ask("POST", "/api/v1/dead-letters/plan", operator, data={"tenant_id": "acme"}).document
    assert [(one["dead_letter_id"], one["verdict"]) for one in plan["letters"]] == [(letter, "applied")]
    path = f"/api/v1/dead-letters/{letter}/replay"
    assert problem(here.ask("POST", path, operator, data={})) == (409, "not-safe")
    assert here.ask("POST", path, operator, data={"include": ["applied"]}).document["replayed_now"] is True


def test_many_are_replayed_canaries_first_and_a_canary_that_fails_stops_the_rest(here: Site) -> None:
    broken(here, 5)
    operator = here.token("o", acme="operator")
    wanted = {"tenant_id": "acme", "canary": 2, "reason": "the disk is back"}
    begun = here.ask("POST", "/api/v1/replays", operator, data=wanted)
    assert (begun.status, begun.document["letters"], begun.document["waiting"]) == (202, 5, 5)
    assert here.system.database.inbox.backlog() == 0, "the request waits for no letter"
    assert replaying_of(here.system).carry_on_all() == 2
    claim = here.claim()
    here.system.database.ledger.settle(claim, Outcome(State.FAILED, "it is not back", code="directory-not-found"))
    replaying_of(here.system).carry_on_all()
    shown = here.ask("GET", f"/api/v1/replays/{begun.document['replay_id']}", operator).document
    assert (shown["state"], shown["waiting"]) == ("STOPPED", 3)
    assert len(shown["items"]) == 5 and shown["why"]


def test_a_replay_takes_the_role_in_every_tenant_that_it_touches(here: Site) -> None:
    mine, theirs = broken(here, 1), broken(here, 1, tenant="beta")
    operator = here.token("o", acme="operator")
    for chosen in ({}, {"tenant_id": "beta"}, {"kind": "create-snapshot"}):
        reply = here.ask("POST", "/api/v1/replays", operator, data={**chosen, "reason": "x"})
        assert problem(reply) == (403, "not-allowed")
    both = {"dead_letter_ids": [*mine, *theirs], "reason": "x"}
    assert problem(here.ask("POST", "/api/v1/replays", operator, data=both)) == (404, "unknown-dead-letter")
    begun = here.ask("POST", "/api/v1/replays", operator, data={"dead_letter_ids": mine, "reason": "x"})
    assert (begun.status, begun.document["letters"]) == (202, 1)
    path = f"/api/v1/replays/{begun.document['replay_id']}"
    assert problem(here.ask("GET", path, here.token("p", acme="operator"))) == (404, "unknown-replay")
    assert here.ask("POST", f"{path}/stop", operator, data={"reason": "enough"}).status == 200


def test_an_admin_corrects_a_message_and_the_original_stays(here: Site) -> None:
    (letter,) = broken(here, 1)
    path = f"/api/v1/dead-letters/{letter}/edit"
    wanted = {"text": '{"include": ["configuration"]}', "reason": "it has no directory"}
    assert problem(here.ask("POST", path, here.token("o", acme="operator"), data=wanted))[0] == 403
    admin = here.token("a", acme="admin")
    assert problem(here.ask("POST", path, admin, data={**wanted, "text": '{"includes": []}'}))[0] == 422
    assert here.ask("POST", path, admin, data={**wanted, "dry_run": True}).document["replayed_now"] is False
    made = here.ask("POST", path, admin, data=wanted).document
    operation = here.system.database.ledger.get(made["replay_operation_id"])
    assert operation is not None and operation.data == {"include": ["configuration"]}
    original = here.system.database.ledger.get(made["operation_id"])
    assert original is not None and original.data == {}


def test_a_letter_is_put_aside_with_a_reason_once(here: Site) -> None:
    (letter,) = broken(here, 1)
    operator, path = here.token("o", acme="operator"), f"/api/v1/dead-letters/{letter}/discard"
    assert problem(here.ask("POST", path, operator, data={"reason": ""}))[0] == 422
    done = [here.ask("POST", path, operator, data={"reason": "a test"}).document for _ in range(2)]
    assert [one["discarded_now"] for one in done] == [True, False]
    assert done[1]["resolved_by"] == "o" and done[1]["resolved_note"] == "a test"
    assert here.ask("GET", "/api/v1/dead-letters", operator).document["dead_letters"] == []
    assert len(here.ask("GET", "/api/v1/dead-letters?resolved=true", operator).document["dead_letters"]) == 1
    assert problem(here.ask("POST", path.replace("discard", "replay"), operator, data={})) == (409, "already-resolved")


# ---------------------------------------------------------------- errors and hardening
def test_every_error_has_the_one_form(here: Site) -> None:
    admin = here.token("root", everywhere="admin")
    assert problem(here.ask("GET", "/api/v1/nothing", admin)) == (404, "not-found")
    assert problem(here.ask("DELETE", "/api/v1/me", admin)) == (405, "method-not-allowed")
    assert problem(here.ask("GET", "/api/v1/operations/x", admin)) == (422, "invalid")
    assert problem(here.ask("GET", "/api/v1/operations?limit=0", admin)) == (422, "invalid")
    assert problem(here.ask("POST", GIVE, admin, data={"exclude": ["x" * (1 << 20)]})) == (413, "too-large")


def test_a_database_that_is_away_is_a_503_that_says_when_to_come_again(here: Site) -> None:
    admin = here.token("root", everywhere="admin")
    here.system.database.close()
    (Path(here.system.settings.data_dir) / "backstay.db").rename(Path(here.system.settings.data_dir) / "gone.db")
    reply = here.ask("GET", "/api/v1/me", admin)
    assert problem(reply)[0] == 503 and reply.headers["retry-after"] == "5"


@pytest.mark.parametrize("working", [False, True])
def test_the_api_is_served_by_web_and_serve_and_not_by_a_worker(here: Site, working: bool) -> None:
    wake = None if working else here.system.database.wake()
    metrics = metrics_of(here.system, SystemClock())
    server = server_of(here.system, Health(), metrics, "127.0.0.1:0", wake.set if wake else None)
    server.start()
    try:
        statuses = [Site(here.system, server.address).ask("GET", path).status for path in ("/api/v1/me", "/livez")]
    finally:
        server.stop()
        if wake:
            wake.close()
    assert statuses == [404 if working else 401, 200]


def test_every_answer_tells_browsers_to_be_careful(here: Site) -> None:
    for path in ("/login", "/api/v1/me", "/livez", "/nothing"):
        headers = here.ask("GET", path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in headers
        assert "server" not in headers


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("no trace at all", False),
    ],
)
def test_a_command_is_part_of_the_trace_that_its_request_names(here: Site, header: str, kept: bool) -> None:
    reply = here.ask("POST", GIVE, here.token("root", everywhere="admin"), data={}, traceparent=header)
    assert reply.status == 202
    operation = here.system.database.ledger.get(reply.document["operation_id"])
    assert operation is not None
    assert operation.traceparent == (header if kept else None)
