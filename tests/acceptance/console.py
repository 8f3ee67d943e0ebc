"""A platform with everything that the console shows, its HTTP server, and a real Chromium that looks at it.

One region's double, one node, the worked example installed, upgraded once and stuck once, snapshots and dead letters:
the state that an operator finds. Tests that change something use services of their own names.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect, sync_playwright

import handlers
from domain.audit import Actor
from domain.operation import Budget, Operation, State
from tests.acceptance.shop import Names, template
from tests.acceptance.stage import Stage
from workers.clock import SystemClock
from workers.health import Health
from workers.web import credentials
from workers.web.app import build_app
from workers.web.desk import Desk
from workers.web.server import HttpServer

#: Where distributions put it; playwright's own download is not needed.
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
#: Milliseconds after which what is awaited has not come: longer than any load of the machine.
PATIENCE = 120_000
DESKTOP, PHONE = (1280, 900), (390, 844)


def chromium() -> str:
    """The browser's program; without one the test is skipped, in CI it fails."""
    found = [path for path in CHROMIUM if os.path.exists(path)] + glob.glob("/opt/chromium*/chrome")
    if not found:
        if os.environ.get("BACKSTAY_REQUIRE_SERVERS") == "1":
            pytest.fail("there is no chromium; install the package chromium")
        pytest.skip("there is no chromium; install the package chromium")
    return found[0]


class Scene:
    """What is on stage, and ways to look at it. `close()` ends all of it."""

    def __init__(self, home: Path) -> None:
        self._program = chromium()
        expect.set_options(timeout=PATIENCE)
        self.stage = Stage(home, fenced=True)
        self.platform, self.database = self.stage.platform, self.stage.platform.system.database
        self.platform.start("web-1", budget=Budget(max_undo_attempts=2, backoff_base=0.01, backoff_cap=0.02))
        desk = Desk(self.platform.system, SystemClock(), lambda: None, handlers.subscriptions())
        self.server = HttpServer(build_app(Health(), lambda: b"", None, desk), "127.0.0.1:0")
        self.server.start()
        self.url = f"http://{self.server.address}"
        self._playwright: Playwright = sync_playwright().start()
        self.browser: Browser = self._playwright.chromium.launch(
            executable_path=self._program, args=ARGUMENTS, timeout=PATIENCE
        )
        self._tokens: dict[str, tuple[str, str]] = {}

    def close(self) -> None:
        """End all of it."""
        self.browser.close()
        self._playwright.stop()
        self.server.stop()
        self.stage.close()

    # ------------------------------------------------------------ what is to be seen
    def play(self) -> None:
        """Everything that has happened before the operator looks."""
        self.stage.publish_version(template(), "v2.0")
        self.stage.publish_version(template("v3.0"), "v3.0")
        self.shop, self.other = Names(), Names()
        self.stage.install(self.shop)
        self.upgraded = self.stage.upgrade(self.shop.web)
        self.platform.service("blog")
        self.snapshot = self.platform.snapshot("blog", "owner:42", "reason:before the move")
        self.platform.run("set-rpo", {"goal_seconds": 86400}, service="blog")
        nightly = {"kind": "create-snapshot", "service": "blog", "cron": "30 2 * * *", "zone": "Europe/Berlin"}
        self.platform.run("set-schedule", nightly, service="nightly")
        self.stuck = self.stick(self.other)
        for number in range(3):
            missing = f"00000000-0000-8000-a000-{number:012d}"
            self.refused = self.platform.run("restore-snapshot", {"snapshot_id": missing}, service="blog")
        self.platform.publish("create-snapshot", {"labells": ["a:b"]}, service="blog")

    def stick(self, names: Names) -> Operation:
        """An upgrade that could not be put back, of an application installed for it."""
        self.stage.install(names)
        self.stage.region.script(
            self.stage.fail("POST", "/app-restore/envs$", {"status": 400, "body": {"msg": "no"}}),
            self.stage.fail("POST", "/plugin$", {"status": 404, "body": {"msg": "plugin unknown"}}),
        )
        done = self.stage.upgrade(names.web)
        assert done.state is State.STUCK, done.outcome
        self.stage.region.script()
        return done

    # ------------------------------------------------------------ looking
    def token(self, role: str, tenant: str = "*") -> str:
        """A token of that role."""
        return self._token(role, tenant)[0]

    def _token(self, role: str, tenant: str) -> tuple[str, str]:
        name = f"{role} of {tenant}"
        if name not in self._tokens:
            secret = credentials.new_token()
            made = self.database.tokens.create(
                name, credentials.digest(secret), {tenant: role}, Actor("the test", "cli"), None
            )
            self._tokens[name] = secret, made.token_id
        return self._tokens[name]

    @contextmanager
    def looking(
        self, role: str = "admin", tenant: str = "*", *, size: tuple[int, int] = DESKTOP, scheme: str = "light",
        script: bool = True,
    ) -> Iterator[Page]:  # fmt: skip
        """A browser of somebody with that role, signed in. Whatever its console complains of fails the test."""
        context: BrowserContext = self.browser.new_context(
            base_url=self.url, viewport={"width": size[0], "height": size[1]}, color_scheme=scheme,  # type: ignore[arg-type]
            java_script_enabled=script,
        )  # fmt: skip
        context.set_default_timeout(PATIENCE)
        session = credentials.new_secret()
        self.database.tokens.begin_session(credentials.digest(session), self._token(role, tenant)[1], 3600)
        context.add_cookies([{"name": "backstay", "value": session, "url": self.url}])
        complaints: list[str] = []
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if _is_fault(said) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        try:
            yield page
        finally:
            context.close()
        assert not complaints, complaints


def _is_fault(said: ConsoleMessage) -> bool:
    """Whether our pages are to blame; that an address answered with an error is for the test to judge."""
    return said.type == "error" and ("Failed to load" not in said.text or "/static/" in said.location["url"])
