"""The HTTP API and the console as a client meets them: a real server on a real database, and short requests.

Apart from the suites because the API's and the console's both need it. No worker runs: what is accepted stays queued,
unless a test settles it.
"""

from __future__ import annotations

import atexit
import functools
import http.client
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import handlers
from domain.audit import Actor
from domain.contracts import Claim
from workers.bootstrap import System
from workers.clock import SystemClock
from workers.config import load
from workers.health import Health
from workers.serving import downloads_of
from workers.web import credentials
from workers.web.app import build_app
from workers.web.desk import Desk
from workers.web.server import HttpServer

TESTER = Actor("test", "cli")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    text: str
    cookies: tuple[str, ...] = ()  # as set, one text each

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)


class Site:
    """One server and the ports behind it."""

    def __init__(self, system: System, address: str) -> None:
        self.system, self.address = system, address
        self.woken = 0

    def token(self, name: str = "anna", **roles: str) -> str:
        """A new token; roles by tenant, `everywhere` for all."""
        secret = credentials.new_token()
        given = {"*" if tenant == "everywhere" else tenant: role for tenant, role in roles.items()}
        self.system.database.tokens.create(name, credentials.digest(secret), given, TESTER, None)
        return secret

    def ask(
        self,
        method: str,
        path: str,
        token: str | None = None,
        *,
        data: Any = None,
        form: Mapping[str, str] | None = None,
        **headers: str,
    ) -> Reply:
        """One request; `data` is sent as JSON, `form` as a form; underscores of header names become hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        body: str | None = None
        if data is not None:
            body, sent["content-type"] = json.dumps(data), "application/json"
        if form is not None:
            body, sent["content-type"] = urlencode(form), "application/x-www-form-urlencoded"
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            cookies = tuple(value for name, value in answer.getheaders() if name.lower() == "set-cookie")
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read().decode(), cookies)
        finally:
            connection.close()

    def claim(self) -> Claim:
        """Begin the oldest operation, as a worker would."""
        (claim,) = self.system.database.ledger.claim("n1", "n1|boot|ns|1|1", 1, 60_000)
        return claim


@functools.cache
def _template() -> Path:
    """An empty database with the schema, made once: migrating takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="backstay-site-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    system = System(load({"BACKSTAY_DATA_DIR": str(folder)}))
    system.database.migrate()
    system.close()
    return folder


def _nobody() -> None:
    """No worker waits."""


@functools.cache
def _served() -> tuple[HttpServer, Any]:
    """A server whose application is given another desk by each test: building the routes takes a while, too."""
    desk = Desk(System(load({"BACKSTAY_DATA_DIR": str(_template())})), SystemClock(), _nobody, handlers.subscriptions())
    app = build_app(Health(), lambda: b"", None, desk)
    server = HttpServer(app, "127.0.0.1:0")
    server.start()
    atexit.register(server.stop)
    return server, app.app


@contextmanager
def site(data_dir: Path, *, own: bool = False, **settings: str) -> Iterator[Site]:
    """A served data directory; settings are named as in the environment. `own`: with a server of its own, which is
    needed where a setting decides how the application is built, and for downloads."""
    system = System(load({"BACKSTAY_DATA_DIR": str(data_dir), "BACKSTAY_NODE": "n1", **settings}))
    shutil.copytree(_template(), data_dir, dirs_exist_ok=True)
    made: list[Site] = []

    def wake() -> None:
        made[0].woken += 1

    desk = Desk(system, SystemClock(), wake, handlers.subscriptions())
    if own:
        server = HttpServer(build_app(Health(), lambda: b"", downloads_of(system), desk), "127.0.0.1:0")
        server.start()
    else:
        server, app = _served()
        app.state.desk = desk
    made.append(Site(system, server.address))
    try:
        yield made[0]
    finally:
        if own:
            server.stop()
        system.close()


def site_of_a_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The body of a fixture: one site for all tests of a file, which names it and gives it that scope."""
    with site(tmp_path_factory.mktemp("site") / "data") as made:
        yield made
