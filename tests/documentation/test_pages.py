"""Every command of the quick start, the how-to pages and the runbook is typed, on an installation that fits the page.

The pages about repairs are read on the stage of `backstay demo --broken`: after the page, what was broken is whole.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from domain.operation import State
from domain.snapshot import SnapshotState
from tests.broken_stage import broken_site, command_line
from tests.command_line import CommandLine
from tests.documentation.mentions import ROOT, commands
from tests.documentation.reader import Reader
from tests.site import site as http_site
from tests.waiting import eventually
from workers.bootstrap import System
from workers.config import load
from workers.demo.breakages import BREAKAGES
from workers.demo.premises import NODE, Site
from workers.runtime import NodeProcess

BLOG, WIKI, DOCS, MAIL, SHOP, SCHEDULE, LETTERS = range(len(BREAKAGES))

site = pytest.fixture(scope="module")(broken_site)
cli = pytest.fixture(command_line)


@pytest.fixture
def reader(site: Site, cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Reader]:
    def made(service: str, **options: object) -> Reader:
        words = {
            "CORRUPT_ID": lambda: snapshot(site, service, SnapshotState.CORRUPT),
            "SNAPSHOT_ID": lambda: snapshot(site, service, SnapshotState.AVAILABLE),
            "OPERATION_ID": lambda: operation(site, service),
            "DEAD_LETTER_ID": lambda: letter(site, "directory-not-found"),
            "INVALID_ID": lambda: letter(site, "invalid"),
            "UNDECODABLE_ID": lambda: letter(site, "undecodable"),
            "FINGERPRINT": lambda: group(site, "invalid"),
            "SAFE_GROUP": lambda: group(site, "source-failed"),
            "BROKEN_HOME": lambda: str(site.home),
        }
        return Reader(cli, tmp_path, monkeypatch, words, **options)  # type: ignore[arg-type]

    return made


def snapshot(site: Site, service: str, state: SnapshotState) -> str:
    found = site.system.database.catalogue.find(None, [service], [], 50, None)
    return next(one.snapshot_id for one in found if one.state is state)


def operation(site: Site, service: str) -> str:
    """The one that waits or is STUCK, else the newest."""
    data = site.system.database
    open_ones = data.list_operations(service_id=service, states=(State.STUCK, State.QUEUED), limit=1)
    return (open_ones or data.list_operations(service_id=service, limit=1))[0].op_id


def letter(site: Site, reason: str) -> str:
    found = site.system.database.dead_letters.list(resolved=False, limit=50, before=None)
    return next(one.dead_letter_id for one in found if one.reason == reason)


def group(site: Site, reason: str) -> str:
    found = site.system.database.dead_letters.list(resolved=False, limit=50, before=None)
    return next(one.fingerprint for one in found if one.reason == reason)


def whole(site: Site, number: int) -> bool:
    return BREAKAGES[number].healed(site)


# ---------------------------------------------------------------- on the broken installation, in this order
def test_practise(reader: Callable[..., Reader]) -> None:
    reader("shop").read("how-to/practise.md")


def test_a_damaged_snapshot(site: Site, reader: Callable[..., Reader]) -> None:
    seen = []
    reader("docs", before={"backstay snapshots create": lambda: seen.append(whole(site, DOCS))}).read(
        "how-to/damaged-snapshot.md"
    )
    assert seen == [True]


def test_a_lost_node(site: Site, reader: Callable[..., Reader]) -> None:
    reader("mail").read("how-to/lost-node.md")
    eventually(lambda: whole(site, MAIL), 60, "the service was restored on the other node")


def test_an_operation_that_is_stuck(site: Site, reader: Callable[..., Reader]) -> None:
    def renew() -> None:
        story = " ".join(answer.out for line, answer in stuck.typed if "explain" in line)
        (letter,) = set(re.findall(r"was sent to (\S+)", story))
        token = Path(letter).read_text().splitlines()[-1]
        site.file.write_text(re.sub(r'token = ".*"', f'token = "{token}"', site.file.read_text()))
        site.stop(NODE)
        site.start(NODE)

    stuck = reader("shop", before={"backstay operations resolve": renew})
    stuck.read("how-to/stuck.md")
    assert whole(site, SHOP)


def test_upgrade_and_go_back(site: Site, reader: Callable[..., Reader]) -> None:
    reader("shop").read("how-to/upgrade.md")
    assert whole(site, SHOP)


def test_dead_letters(site: Site, reader: Callable[..., Reader]) -> None:
    def bring_back() -> None:
        if (moved := site.apps() / "blog.old").exists():
            moved.rename(site.apps() / "blog")

    def correct_the_program() -> None:
        site.file.write_text(site.file.read_text().replace('/dump-note"', '/dump-notes"'))
        site.stop(NODE)
        site.start(NODE)

    causes = {
        "backstay dead-letters replay DEAD_LETTER_ID": bring_back,
        "backstay dead-letters replay --group": correct_the_program,
    }
    reader("blog", before=causes).read("how-to/dead-letters.md")
    eventually(lambda: whole(site, WIKI), 60, "the canary has saved wiki")
    assert whole(site, BLOG)


def test_snapshots_and_restores(site: Site, reader: Callable[..., Reader]) -> None:
    reader("blog").read("how-to/snapshots.md")
    assert (site.apps() / "blog-copy" / "index.html").exists()


def test_scripts(reader: Callable[..., Reader]) -> None:
    reader("blog").read("how-to/scripts.md")


def test_schedules_goals_and_drills(site: Site, reader: Callable[..., Reader]) -> None:
    reader("docs").read("how-to/schedules.md")
    assert whole(site, SCHEDULE)


def test_keys(reader: Callable[..., Reader]) -> None:
    reader("docs").read("how-to/keys.md")


def test_the_runbook(site: Site, cli: CommandLine, reader: Callable[..., Reader]) -> None:
    eventually(lambda: cli.run("doctor").code == 0, 60, "a node that was restarted looks after the schedules")
    reader("docs").read("runbook.md")


def test_every_alert_has_its_section_in_the_runbook() -> None:
    alerts = re.findall(r"- alert: (\w+)", (ROOT / "deploy/prometheus/backstay.rules.yml").read_text())
    sections = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    assert sections == alerts


def test_a_lost_database(site: Site, cli: CommandLine, reader: Callable[..., Reader]) -> None:
    site.stop(NODE)
    for path in site.home.glob("backstay.db*"):
        path.unlink()
    again = reader("docs")
    again.read("how-to/lost-database.md")
    listed = next(answer.out for line, answer in again.typed if "snapshots list" in line)
    assert "available" in listed
    site.start(NODE)


# ---------------------------------------------------------------- elsewhere
def test_the_quick_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = CommandLine(tmp_path / "data", monkeypatch)
    running: list[tuple[NodeProcess, System]] = []

    def serve() -> None:
        system = System(load(made.environment))
        system.database.migrate()
        node = NodeProcess(system)
        node.start()
        running.append((node, system))

    data = made.system.database
    words = {
        "SNAPSHOT_ID": lambda: data.catalogue.find(None, ["shop"], [], 1, None)[0].snapshot_id,
        "OPERATION_ID": lambda: data.list_operations(limit=1)[0].op_id,
    }
    try:
        page = Reader(made, tmp_path, monkeypatch, words, serve=serve)
        page.read("quick-start.md")
        assert page.typed[-3][1].out == "order 1\n"
    finally:
        for node, system in running:
            node.stop(threading.Event())
            system.close()
        made.system.close()


def test_many_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = CommandLine(tmp_path / "data", monkeypatch)
    page = Reader(made, tmp_path, monkeypatch, {})
    page.read("how-to/many-nodes.md")
    shown = page.typed[-1][1].out
    assert "environment BACKSTAY_STORE_URL" in shown
    assert "web-1" in shown
    made.system.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_letting_people_and_programs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = CommandLine(tmp_path / "data", monkeypatch)
    with http_site(tmp_path / "data", own=True) as here:
        words = {
            "127.0.0.1:8321": lambda: here.address,
            "TOKEN_ID": lambda: here.system.database.tokens.list()[0].token_id,
        }
        page = Reader(made, tmp_path, monkeypatch, words)
        page.read("how-to/access.md")
        (operation,) = here.system.database.list_operations()
    assert (operation.source, operation.message_id) == ("/backstay/api/anna", "before-the-move")
    made.system.close()


def test_every_page_with_commands_is_read() -> None:
    here = Path(__file__).read_text()
    folder = ROOT / "docs"
    pages = [folder / "quick-start.md", folder / "runbook.md", *(folder / "how-to").glob("*.md")]
    unread = [
        page.name for page in pages if any(commands(page.read_text())) and f'"{page.relative_to(folder)}"' not in here
    ]
    assert unread == []
