"""From a token to a browser's session and out again, and what a foreign page cannot do with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.site import TESTER, Reply, Site, site
from workers.web import credentials
from workers.web.login import inside

GIVE = "/api/v1/tenants/acme/services/web/create-snapshot"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "data") as opened:
        yield opened


def log_in(here: Site, secret: str, **headers: str) -> Reply:
    return here.ask("POST", "/login", form={"token": secret, "next": "/operations?state=STUCK"}, **headers)


def cookie_of(reply: Reply) -> str:
    (cookie,) = reply.cookies
    return cookie.partition(";")[0]


def test_a_token_becomes_a_session_and_the_page_that_was_wanted_comes_next(here: Site) -> None:
    reply = log_in(here, here.token("anna", acme="operator"))
    assert (reply.status, reply.headers["location"]) == (303, "/operations?state=STUCK")
    assert here.ask("GET", "/api/v1/me", cookie=cookie_of(reply)).document["name"] == "anna"


def test_the_cookie_is_out_of_reach_of_scripts_and_foreign_sites_and_is_not_the_token(here: Site) -> None:
    secret = here.token("anna", acme="operator")
    (cookie,) = log_in(here, secret).cookies
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert secret not in cookie and "Domain" not in cookie


def test_behind_https_the_cookie_is_for_https_and_this_host_only(tmp_path: Path) -> None:
    with site(tmp_path / "data", own=True, BACKSTAY_PUBLIC_URL="https://ops.example") as here:
        reply = log_in(here, here.token("anna", acme="operator"), origin="https://ops.example")
        assert reply.cookies[0].startswith("__Host-backstay=") and "Secure" in reply.cookies[0]
        assert "max-age" in reply.headers["strict-transport-security"]


@pytest.mark.parametrize("secret", ["", "bks_wrong", "x" * 500, "é"])
def test_a_wrong_token_begins_nothing_and_is_not_shown_again(here: Site, secret: str) -> None:
    reply = log_in(here, secret)
    assert reply.status == 401 and not reply.cookies
    assert "not valid" in reply.text and (not secret or f'value="{secret}"' not in reply.text)


def test_logging_out_ends_the_session_for_whoever_has_its_cookie(here: Site) -> None:
    secret = here.token("anna", acme="operator")
    cookie = cookie_of(log_in(here, secret))
    csrf = credentials.csrf_of(cookie.partition("=")[2])
    reply = here.ask("POST", "/logout", form={"csrf": csrf}, cookie=cookie)
    assert (reply.status, reply.headers["location"]) == (303, "/login") and "Max-Age=0" in reply.cookies[0]
    assert here.ask("GET", "/api/v1/me", cookie=cookie).status == 401
    assert here.ask("GET", "/api/v1/me", secret).status == 200, "the token itself is as before"


def test_revoking_the_token_ends_its_sessions(here: Site) -> None:
    cookie = cookie_of(log_in(here, here.token("anna", acme="operator")))
    (token,) = here.system.database.tokens.list()
    here.system.database.tokens.revoke(token.token_id, TESTER)
    assert here.ask("GET", "/api/v1/me", cookie=cookie).status == 401


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "forged-form"),
        ({"x_csrf_token": "wrong"}, "forged-form"),
        ({"x_csrf_token": "right", "origin": "http://evil.example"}, "foreign-origin"),
        ({"x_csrf_token": "right", "origin": "null"}, "foreign-origin"),
        ({"x_csrf_token": "right", "sec_fetch_site": "cross-site"}, "foreign-origin"),
        ({"x_csrf_token": "right", "sec_fetch_site": "same-site"}, "foreign-origin"),
    ],
)
def test_a_session_changes_nothing_without_the_proof_that_our_own_page_asks(
    here: Site, headers: dict[str, str], code: str
) -> None:
    cookie = cookie_of(log_in(here, here.token("anna", acme="operator")))
    right = credentials.csrf_of(cookie.partition("=")[2])
    given: dict[str, Any] = {name: right if value == "right" else value for name, value in headers.items()}
    reply = here.ask("POST", GIVE, None, data={}, cookie=cookie, **given)
    assert (reply.status, reply.document["code"]) == (403, code)
    assert here.system.database.inbox.backlog() == 0


def test_with_the_proof_a_session_gives_commands_as_the_console(here: Site) -> None:
    cookie = cookie_of(log_in(here, here.token("anna", acme="operator")))
    proof = credentials.csrf_of(cookie.partition("=")[2])
    reply = here.ask("POST", GIVE, None, data={}, cookie=cookie, x_csrf_token=proof, origin=f"http://{here.address}")
    assert reply.status == 202 and reply.document["source"] == "/backstay/console/anna"


def test_the_proof_of_another_session_is_none(here: Site) -> None:
    mine = cookie_of(log_in(here, here.token("anna", acme="operator")))
    other = cookie_of(log_in(here, here.token("bert", acme="operator")))
    proof = credentials.csrf_of(other.partition("=")[2])
    assert here.ask("POST", GIVE, None, data={}, cookie=mine, x_csrf_token=proof).status == 403


def test_a_foreign_page_cannot_log_a_browser_in(here: Site) -> None:
    reply = log_in(here, here.token("anna", acme="operator"), origin="http://evil.example")
    assert reply.status == 403 and not reply.cookies


def test_a_token_in_the_header_needs_no_proof_because_no_browser_sends_it_by_itself(here: Site) -> None:
    reply = here.ask("POST", GIVE, here.token("anna", acme="operator"), data={}, origin="http://evil.example")
    assert reply.status == 202


@pytest.mark.parametrize(
    ("wanted", "follows"),
    [
        ("/operations?x=1", "/operations?x=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nset-cookie: x=y", "/"),
        ("", "/"),
    ],
)
def test_logging_in_leads_to_our_own_pages_only(wanted: str, follows: str) -> None:
    assert inside(wanted) == follows


def test_the_form_escapes_what_the_address_says(here: Site) -> None:
    text = here.ask("GET", "/login?next=/%22%3E%3Cscript%3E").text
    assert "<script" not in re.sub(r'<script src="/static/[^"]+"', "", text)
