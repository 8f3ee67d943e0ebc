"""Dead letters on pages, for whoever looks after some of the tenants: every way leads to that tenant's rows."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest

from domain.audit import Actor
from domain.outcome import Outcome, SaveService
from domain.service import Service
from tests.integration.test_api import broken
from tests.site import Site, site


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With a dead letter and a service of `umbrella`, and none of `acme`."""
    with site(tmp_path_factory.mktemp("letters") / "data") as made:
        path = "/api/v1/tenants/umbrella/services/web/create-snapshot"
        assert made.ask("POST", path, made.token("api", everywhere="admin"), data={}).status == 202
        service = Service(service_id="web", tenant_id="umbrella", alias="web", directory="web", node="n1")
        made.system.database.ledger.settle(made.claim(), Outcome.succeeded("done", changes=(SaveService(service),)))
        broken(made, 1, tenant="umbrella")
        yield made


@pytest.fixture(scope="module")
def both(here: Site) -> str:
    """Somebody who looks after two tenants; without a choice the first one's rows are shown."""
    return here.token("both", acme="operator", umbrella="operator")


def links(text: str, begin: str) -> list[str]:
    """Where the page leads to, of what begins so."""
    return [html.unescape(one) for one in re.findall(rf'href="({re.escape(begin)}[^"]*)"', text)]


@pytest.mark.parametrize("page", ["/?tenant=umbrella", "/dead-letters?tenant=umbrella"])
def test_the_link_of_a_group_leads_to_the_group_of_the_chosen_tenant(here: Site, both: str, page: str) -> None:
    [group] = links(here.ask("GET", page, both).text, "/dead-letters/groups/")
    answer = here.ask("GET", group, both)
    assert answer.status == 200 and "1 × create-snapshot" in answer.text
    assert links(answer.text, "/dead-letters?") == ["/dead-letters?tenant=umbrella"]


def test_the_link_of_a_single_letter_leads_to_the_group_of_its_own_tenant(here: Site, both: str) -> None:
    [group] = links(here.ask("GET", "/dead-letters?tenant=umbrella", both).text, "/dead-letters/groups/")
    [letter] = links(here.ask("GET", group, both).text, "/dead-letters/0")
    assert links(here.ask("GET", letter, both).text, "/dead-letters/groups/") == [group]


def test_the_tiles_and_lists_of_the_first_page_keep_the_chosen_tenant(here: Site, both: str) -> None:
    page = here.ask("GET", "/?tenant=umbrella", both).text
    main = page[page.index("<main") :]
    ways = [one for begin in ("/operations", "/dead-letters", "/services") for one in links(main, begin)]
    lists = [one for one in ways if "/" not in one[1:].partition("?")[0]]
    assert len(lists) == 7 and all(one.endswith("tenant=umbrella") for one in lists), lists


def test_a_service_leads_to_its_own_snapshots_and_operations(here: Site, both: str) -> None:
    page = here.ask("GET", "/services/web", both).text
    for kind in ("snapshots", "operations"):
        assert [one.endswith("&tenant=umbrella") for one in links(page, f"/{kind}?service=")] == [True]


def test_whoever_may_not_see_nodes_is_told_nothing_of_them(here: Site, both: str) -> None:
    page = here.ask("GET", "/?tenant=acme", both).text
    assert "No operation is stuck, and no dead letter waits." in page
    assert "node" not in page[page.index("<main") :]
    everywhere = here.token("everywhere", everywhere="viewer")
    told = here.ask("GET", "/?tenant=acme", everywhere).text
    assert "every node has been seen" in told and "nodes away" in told


# ---------------------------------------------------------------- replays
def begun(here: Site, by: Actor) -> str:
    """The address of a replay of the letter of `umbrella` that is under way."""
    [letter] = here.system.database.dead_letters.list(resolved=False, limit=9, before=None)
    made = here.system.database.replays.create(
        by, [letter.dead_letter_id], canary=0, per_minute=1, reason="", selection={}
    )
    return f"/dead-letters/replays/{made.replay_id}"


def asked(here: Site, token: str, address: str) -> list[int]:
    """What looking at it, and stopping it, answer: on the page, and over the API."""
    api = address.replace("/dead-letters", "/api/v1")
    return [
        here.ask("GET", address, token).status,
        here.ask("GET", api, token).status,
        here.ask("POST", f"{address}/stop", token, form={"reason": "x"}).status,
        here.ask("POST", f"{api}/stop", token, data={"reason": "x"}).status,
    ]


@pytest.mark.parametrize(
    ("role", "way", "answers"),
    [
        ({"umbrella": "operator"}, "cli", [404, 404, 404, 404]),
        ({"umbrella": "operator"}, "api", [200, 200, 303, 200]),
        ({"umbrella": "operator"}, "console", [200, 200, 303, 200]),
        ({"umbrella": "viewer"}, "console", [200, 200, 403, 403]),
        ({"acme": "admin"}, "console", [200, 200, 403, 403]),
        ({"everywhere": "viewer"}, "cli", [200, 200, 403, 403]),
        ({"everywhere": "operator"}, "cli", [200, 200, 303, 200]),
    ],
)
def test_a_replay_is_stopped_by_whoever_may_replay_what_waits_in_it_and_a_name_alone_shows_none(
    here: Site, role: dict[str, str], way: str, answers: list[int]
) -> None:
    """On a command line somebody else may have the name of a token."""
    name = f"anna-{way}-{'-'.join(role)}-{'-'.join(role.values())}"
    token = here.token(name, **role)
    address = begun(here, Actor(name, way))
    listed = address in here.ask("GET", "/dead-letters", token).text
    assert asked(here, token, address) == answers and listed is (answers[0] == 200)


@pytest.mark.parametrize(("role", "offered"), [("viewer", False), ("operator", True)])
def test_stopping_a_replay_is_offered_to_whoever_may(here: Site, role: str, offered: bool) -> None:
    token = here.token(f"bert-{role}", umbrella=role)
    address = begun(here, Actor(f"bert-{role}", "console"))
    assert ("Stop the replay" in here.ask("GET", address, token).text) is offered
