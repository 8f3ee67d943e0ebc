"""The API against its own OpenAPI document, by schemathesis: what is described is accepted, what is not is refused in
the one form of errors, and every answer is as described. And the document against the API: nothing is undescribed."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings, strategies
from schemathesis import Case
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as openapi_checks

import handlers
from domain.contracts import Rejected
from domain.node import NodeReport
from domain.operation import State
from domain.outcome import AddSnapshot, Outcome, SaveService
from domain.service import Service
from tests.contract.sql_bench import snapshot
from tests.site import Site, site
from workers.web.access import COMMANDS
from workers.web.api.answers import ANSWERS

SNAP = "0192f0c1-0000-7000-8000-000000000001"
EXAMPLES = 4
ROUTES = [*ANSWERS, *(f"give_{kind.replace('-', '_')}" for kind in COMMANDS)]
CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def here() -> Iterator[Site]:
    """A site with a service, a snapshot, and an operation in each kind of state."""
    with tempfile.TemporaryDirectory() as folder, site(Path(folder)) as opened:
        admin = opened.token("root", everywhere="admin")
        give = "/api/v1/tenants/acme/services/web/create-snapshot"
        opened.ask("POST", give, admin, data={})
        service = Service(service_id="web", tenant_id="acme", alias="web", directory="acme/web", node="n1")
        rows = (SaveService(service), AddSnapshot(snapshot(SNAP)))
        opened.system.database.ledger.settle(opened.claim(), Outcome(State.SUCCEEDED, "it is done", changes=rows))
        opened.ask("POST", give, admin, data={})
        opened.claim()
        opened.ask("POST", give, admin, data={})
        opened.system.database.inbox.accept([Rejected(b"{", "undecodable", "the body is not JSON")])
        opened.system.database.nodes.beat("n1", "boot", "1", NodeReport())
        yield opened


@pytest.fixture(scope="module")
def secret(here: Site) -> str:
    return here.token("tester", everywhere="admin")


@functools.cache
def described(address: str) -> Any:
    import requests

    return schemathesis.openapi.from_dict(requests.get(f"http://{address}/api/v1/openapi.json", timeout=30).json())


def operations(address: str) -> dict[str, Any]:
    found = (result.ok() for result in described(address).get_all_operations())
    return {operation.definition.raw["operationId"]: operation for operation in found}


@pytest.mark.parametrize("name", ROUTES)
def test_every_answer_is_as_the_document_says(here: Site, secret: str, name: str) -> None:
    operation = operations(here.address)[name]
    known = {
        "tenant_id": "acme",
        "service_id": "web",
        "snapshot_id": SNAP,
        "node": "n1",
        "name": "nightly",
        "dead_letter_id": here.system.database.dead_letters.list(resolved=True, limit=1, before=None)[0].dead_letter_id,
        "replay_id": SNAP,
        "operation_id": here.system.database.list_operations(limit=3)[-1].op_id,
    }
    either = operation.as_strategy(generation_mode=GenerationMode.POSITIVE) | operation.as_strategy(
        generation_mode=GenerationMode.NEGATIVE
    )

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(case=either, there=strategies.booleans())
    def each(case: Case[Any], there: bool) -> None:
        if there and case.meta is not None and not case.meta.generation.mode.is_negative:
            case.path_parameters = {key: known[key] for key in case.path_parameters or {}}
        answer = case.call(base_url=f"http://{here.address}", headers={"authorization": f"Bearer {secret}"}, timeout=60)
        # In an address everything is text: a number where a list of words is asked for is a list of one word.
        bodies = [openapi_checks.negative_data_rejection] if operation.body else []
        case.validate_response(answer, checks=[*CHECKS, *bodies])

    each()


def test_the_document_describes_every_route_and_no_other(here: Site) -> None:
    assert set(operations(here.address)) == set(ROUTES)
    assert set(COMMANDS) == set(handlers.subscriptions())


def test_without_a_token_every_route_is_closed(here: Site) -> None:
    for name, operation in operations(here.address).items():
        path = operation.path.format(
            tenant_id="acme",
            service_id="web",
            snapshot_id=SNAP,
            operation_id=SNAP,
            node="n1",
            name="nightly",
            dead_letter_id=SNAP,
            replay_id=SNAP,
        )
        reply = here.ask(operation.method.upper(), path, data={} if operation.method == "post" else None)
        assert reply.status == 401, name
