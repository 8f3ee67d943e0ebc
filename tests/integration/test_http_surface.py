"""What anybody can do to the HTTP server from outside: headers, forms, hosts, paths, sizes, and connections held open.

Apart from the routes' own tests because all of this holds for every route: they are read from the application, so
that a new one is asked too.
"""

from __future__ import annotations

import http.client
import random
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

import pytest
from fastapi import Request, Response

from domain.outcome import AddSnapshot, Outcome, SaveService
from domain.service import Service
from tests.contract.sql_bench import snapshot
from tests.integration.test_login import cookie_of, log_in
from tests.integration.test_web_tenants import OPEN, ROUTES, SNAPSHOT
from tests.site import Site, site
from tests.waiting import eventually
from workers.web import app, connections, credentials, server
from workers.web.hardening import HEADERS, MAX_BODY
from workers.web.pages.refilling import Fault
from workers.web.problems import Problem

ID = "0192f0c1-0000-7000-8000-00000000000f"
PAGES = [(method, path) for method, path in ROUTES if not path.startswith("/api/")]
TEXTS = ["", SNAPSHOT, "acme", "v2", "-1", "9" * 30, "\0", "a:b", "{}", "../x", "é\u2028", "x" * 3000, "1e9", "true"]
NAMES = ["reason", "tenant", "state", "label", "before", "version", "service", "limit", "csrf", "payload", "until",
         "confirm", "mode", "next", "kind", "what", "word", "canaries", "rate", "letters"]  # fmt: skip
SENT = ["accept", "range", "if_none_match", "accept_language", "content_type", "x_csrf_token", "cookie", "traceparent",
        "hx_request", "origin"]  # fmt: skip
VALUES = [
    "",
    "*/*",
    "bytes=5-1",
    '"x"',
    ";;;",
    "00-0-0-00",
    "text/html;q=x",
    "null",
    "a=b; backstay=c",
    "application/json",
]
ASTRAY = ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "..\\..\\etc", "%00",
          "....//etc/passwd", "/etc/passwd", "console.css/../../app.py", "%c0%ae%c0%ae/x"]  # fmt: skip
BEGUN = (
    b"", b"GET / HT", b"GET / HTTP/1.1\r\nx: y\r\n",
    b"POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n"
    b"content-length: 9\r\n\r\na",
)  # fmt: skip
#: Beyond any time that a test needs; nothing is measured by it.
PATIENCE = 20


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("surface") / "data", own=True) as opened:
        admin = opened.token("root", everywhere="admin")
        opened.ask("POST", "/api/v1/tenants/acme/services/web/create-snapshot", admin, data={})
        changes = (SaveService(Service("web", "acme", "web", "web", node="n1")), AddSnapshot(snapshot(SNAPSHOT)))
        opened.system.database.ledger.settle(opened.claim(), Outcome.succeeded("done", changes=changes))
        yield opened


@pytest.fixture(scope="module")
def admin(here: Site) -> str:
    return here.token("admin", everywhere="admin")


@pytest.fixture(scope="module")
def session(here: Site, admin: str) -> str:
    """The cookie of a browser."""
    return cookie_of(log_in(here, admin))


def _at(path: str) -> str:
    names = {"tenant_id": "acme", "service_id": "web", "snapshot_id": SNAPSHOT, "node": "n1", "verb": "drain",
             "what": "verify", "fingerprint": "0" * 16, "name": "nightly"}  # fmt: skip
    for name in ("operation_id", "dead_letter_id", "replay_id", "token_id"):
        names[name] = ID
    return path.format(**names)


def raw(here: Site, data: bytes) -> bytes:
    """What the server answers to those bytes before it closes, or before it waits for more of them."""
    host, _, port = here.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(data)
        try:
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:
            return b""


# ---------------------------------------------------------------- answers
@pytest.mark.parametrize(
    "path", ["/livez", "/metrics", "/login", "/nowhere", "/exports/x", "/api/v1/nowhere", "/static/x"]
)
def test_what_needs_no_login_has_every_header_that_a_browser_obeys(here: Site, path: str) -> None:
    missing = set(HEADERS) - set(here.ask("GET", path).headers)
    assert not missing


def test_every_route_answers_with_every_header_logged_in_and_not(here: Site, admin: str) -> None:
    for token in (admin, None):
        for path in (path for method, path in ROUTES if method == "GET"):
            found = here.ask("GET", _at(path), token, accept="text/html").headers
            assert {name for name, value in HEADERS.items() if found.get(name) != value} <= {"cache-control"}, path
            assert "server" not in found


def test_no_answer_repeats_the_host_that_was_asked_for(here: Site, admin: str) -> None:
    """A cache or a link could carry it to somebody else; where a browser is led is a path."""
    for token in (admin, None):
        for path in (path for method, path in ROUTES if method == "GET"):
            reply = here.ask(
                "GET", _at(path), token, accept="text/html", host="evil.example", x_forwarded_host="evil.example"
            )
            assert "evil.example" not in reply.text + repr(reply.headers), path
            assert reply.headers.get("location", "/").startswith("/"), path


# ---------------------------------------------------------------- forms
@pytest.mark.parametrize("path", [path for method, path in ROUTES if method != "GET"])
def test_every_route_that_changes_something_takes_no_form_of_another_page(here: Site, session: str, path: str) -> None:
    reply = here.ask("POST", _at(path), form={"reason": "r", "csrf": "0" * 64}, cookie=session)
    assert reply.status == 403, reply.text[:200]


def test_a_page_given_anything_in_its_address_its_form_or_its_headers_has_no_error_of_its_own(
    here: Site, admin: str
) -> None:
    """What the description of the API is for schemathesis, the names in forms and addresses are here; `make fuzz`
    goes on from requests like these."""
    draw = random.Random(1)
    for method, path in PAGES:
        given = {draw.choice(NAMES): draw.choice(TEXTS) for _ in range(6)}
        sent = {draw.choice(SENT): draw.choice(VALUES) for _ in range(3)}
        if method == "GET":
            sent.setdefault("accept", "text/html")
            reply = here.ask("GET", f"{_at(path)}?{urlencode(given)}", admin, **sent)  # type: ignore[arg-type]
        else:
            reply = here.ask(method, _at(path), admin, form=given, **sent)
        assert reply.status < 500, (path, given, sent, reply.text[:300])


# ---------------------------------------------------------------- sessions and log-ins
def test_a_log_in_never_takes_a_session_that_the_browser_brought(here: Site) -> None:
    """Else somebody could set a cookie that he knows, and wait for its log-in."""
    planted = credentials.new_secret()
    secret = here.token("anna", acme="operator")
    reply = here.ask("POST", "/login", form={"token": secret}, cookie=f"backstay={planted}")
    assert cookie_of(reply) != f"backstay={planted}"
    assert here.ask("GET", "/api/v1/me", cookie=f"backstay={planted}").status == 401


def test_no_number_of_wrong_tokens_keeps_the_right_one_out(here: Site) -> None:
    """There is no limit on attempts: nobody guesses 256 bits, and a limit would lock out whoever shares a proxy with
    somebody who tries."""
    for _ in range(30):
        assert here.ask("POST", "/login", form={"token": "bks_wrong"}).status == 401
    assert log_in(here, here.token("shared", acme="viewer")).status == 303


# ---------------------------------------------------------------- paths, sizes, bytes
@pytest.mark.parametrize("place", ["/exports/", "/static/"])
@pytest.mark.parametrize("path", ASTRAY)
def test_no_path_leads_to_a_file_that_is_not_served(here: Site, place: str, path: str) -> None:
    answer = raw(here, f"GET {place}{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert answer.split(b" ")[1] in (b"400", b"403", b"404") and b"root:" not in answer


@pytest.mark.parametrize(
    "head",
    [
        f"content-length: {MAX_BODY + 1}", "transfer-encoding: chunked", "content-length: -1", "content-length: 1e3",
        "content-length: 5\r\ncontent-length: 6", "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: gzip, chunked", "x: " + "y" * 200_000,
    ],
)  # fmt: skip
def test_a_request_that_is_too_large_or_could_be_read_in_two_ways_is_refused(here: Site, head: str) -> None:
    answer = raw(here, f"POST /login HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{head}\r\n\r\nhello".encode())
    assert answer.split(b" ")[1:2] in ([], [b"400"], [b"413"], [b"431"], [b"501"])


# ---------------------------------------------------------------- connections
def _closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def _serves(here: Site) -> bool:
    try:
        return here.ask("GET", "/login").status == 200
    except (ConnectionError, http.client.HTTPException):
        return False  # the server has not yet seen that places are free


def test_whoever_never_reads_an_answer_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Else two hundred of them, who need no login, keep everybody else out for ever."""
    monkeypatch.setattr(server, "UNREAD_SECONDS", 0.5)
    monkeypatch.setattr(connections, "MOST", 1)
    with site(tmp_path / "data", own=True) as opened, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(PATIENCE)
        host, _, port = opened.address.rpartition(":")
        deaf.connect((host, int(port)))
        deaf.sendall(b"GET /static/console.css HTTP/1.1\r\nhost: x\r\n\r\n" * 500)
        eventually(lambda: _serves(opened), PATIENCE, "the place is free again")


def test_of_a_thousand_faults_of_a_request_a_few_are_worded(
    here: Site, admin: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body of a megabyte has a hundred thousand of them, and nobody else is answered meanwhile."""
    told: list[int] = []
    tell = app._tell

    async def counting(request: Request, problem: Problem, faults: Sequence[Fault] = ()) -> Response:
        told.append(len(faults))
        return await tell(request, problem, faults)

    monkeypatch.setattr(app, "_tell", counting)
    path = "/api/v1/tenants/acme/services/web/create-snapshot"
    answer = here.ask("POST", path, admin, data={f"unknown{number}": 0 for number in range(1000)})
    assert answer.status == 422 and answer.document["field"] == "body.unknown0"
    assert told == [app.MOST_FAULTS]


@pytest.mark.parametrize("begun", BEGUN)
def test_a_request_that_never_ends_is_given_up(here: Site, monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    """Neither nothing at all, nor half a line, nor half a body holds a connection."""
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.1)
    host, _, port = here.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(begun)
        assert _closed(connection)


def test_connections_beyond_the_bound_are_closed_and_free_places_serve_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST", 3)
    with site(tmp_path / "data", own=True) as here:
        host, _, port = here.address.rpartition(":")
        held: list[socket.socket] = [socket.create_connection((host, int(port)), timeout=PATIENCE) for _ in range(4)]
        assert _closed(held[-1])
        for connection in held:
            connection.close()
        eventually(lambda: _serves(here), PATIENCE, "free places serve again")


def test_what_needs_no_login_is_listed() -> None:
    """A new route needs one, or a line here and a reason in docs/security.md."""
    assert {"/livez", "/readyz", "/metrics", "/login", "/logout", "/static/{name}"} == OPEN
