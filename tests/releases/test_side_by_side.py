"""Upgrading Backstay itself: nodes of the previous and of the present release work on one installation.

Scenario: the schema is migrated while a node of the previous release works; both go on; one dies and the other ends
what it has begun; what the previous release would do wrongly waits for a node that knows better.
"""

from __future__ import annotations

import re
import signal
import urllib.request
from typing import Any

import pytest

from tests.chaos.victim import Death
from tests.chaos.world import TENANT
from tests.command_line import CommandLine
from tests.fakes.trees import digest
from tests.releases.site import Site


def test_a_fleet_is_upgraded_node_by_node_without_a_pause(used_site: Site) -> None:
    site = used_site
    older = site.older("old-1", http="127.0.0.1:0")
    # The schema changes under a node of the previous release while it has work.
    under_way = [site.send("create-snapshot", "shop", f"under-way-{n}") for n in range(3)]
    site.migrate()
    # Both take messages from one broker, whoever is faster; each does what is on its node.
    site.register("mail", "old-1")
    site.register("blog", "new-1")
    site.newer("new-1", *under_way, "register-mail", "register-blog")
    site.send("create-snapshot", "mail", "of-mail")
    site.send("create-snapshot", "blog", "of-blog")
    site.newer("new-1", "of-mail", "of-blog")
    assert [site.node_of(message) for message in ("of-mail", "of-blog")] == ["old-1", "new-1"]
    assert site.enter("create-snapshot", "mail", "of-mail") == "duplicate"

    # The newer schema is no reason to be ill, and none not to start again.
    address = re.search(r'"address": "([^"]+)"', older.log.read_text())
    assert address is not None
    with urllib.request.urlopen(f"http://{address[1]}/readyz") as reply:
        assert reply.status == 200
    older.kill()
    again = site.older("old-1")

    # What only the present release understands waits, unharmed, for its node to be upgraded.
    plan = {"snapshot_id": site.snapshot("first"), "dry_run": True}
    assert site.enter("restore-snapshot", "shop", "dry-run", **plan) == "accepted"
    site.wait_for(lambda: site.operation("dry-run")["next_attempt_at"] > 0, "the previous release left it alone")
    site.wait(site.send("create-snapshot", "mail", "beside-it"))
    waiting = site.operation("dry-run")
    assert (waiting["state"], waiting["attempts"], waiting["owner"]) == ("QUEUED", 0, None)
    assert waiting["error_code"] == "left-to-newer-release"
    assert again.stop() == 0
    site.newer("old-1", "dry-run")
    assert site.operation("dry-run")["outcome"]["figures"]["dry_run"] is True


def test_the_previous_release_commands_work_on_the_new_schema(used_site: Site) -> None:
    used_site.migrate()
    code, said = used_site.previous.command(used_site.environ("old-1"), "doctor")
    assert code == 0, said
    assert "schema is current" in said
    code, said = used_site.previous.command(used_site.environ("old-1"), "migrate")
    assert code == 0, said
    code, said = used_site.previous.command(used_site.environ("old-1"), "snapshots", "list", "--service", "shop")
    assert (code, used_site.snapshot("first") in said) == (0, True)


def test_what_the_previous_release_has_stored_is_listed_read_back_exported_restored_and_deleted(
    used_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = used_site
    site.migrate()
    asked: dict[str, dict[str, Any]] = {
        "verify-snapshot": {"level": "restore-test"},
        "export-snapshot": {},
        "restore-snapshot": {"target": {"directory": "copy"}},
    }
    for kind, data in asked.items():
        assert site.enter(kind, "shop", kind, snapshot_id=site.snapshot("first"), **data) == "accepted"
    site.newer("old-1", *asked)
    assert digest(site.home / "apps" / "copy") == digest(site.home / "apps" / "shop")

    line = CommandLine(site.home, monkeypatch)
    answer = line.run("snapshots", "list", "--tenant", TENANT, "--label", "owner:42", "--json")
    (listed,) = answer.document()["snapshots"]
    line.system.close()
    assert (listed["snapshot_id"], listed["state"]) == (site.snapshot("first"), "available")

    packs = set((site.home / "store").rglob("packs/*/*"))
    site.enter("create-snapshot", "shop", "second")
    site.enter("delete-snapshot", "shop", "delete", snapshot_id=site.snapshot("first"))
    site.newer("old-1", "second", "delete")
    assert packs
    assert not packs & set((site.home / "store").rglob("packs/*/*")), "a sealed snapshot shares nothing with plain ones"


def test_what_the_previous_release_refused_at_its_door_is_replayed_by_the_present(
    used_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost when a publisher was too early with what only the present release understands."""
    site = used_site
    older = site.older("old-1")
    site.send("verify-snapshot", "shop", "too-early", snapshot_id=site.snapshot("first"))
    site.wait_for(lambda: bool(site.rows("SELECT seq FROM dead_letter")), "it is a dead letter")
    older.kill()
    site.migrate()
    (letter,) = site.rows("SELECT dead_letter_id FROM dead_letter")
    line = CommandLine(site.home, monkeypatch)
    answer = line.run("dead-letters", "replay", letter["dead_letter_id"])
    line.system.close()
    assert answer.code == 0, answer
    (asked,) = site.rows("SELECT message_id FROM operation WHERE kind = 'verify-snapshot'")
    site.newer("old-1", asked["message_id"])


@pytest.mark.parametrize(
    ("point", "kind", "left"),
    [
        ("archive.after-publish", "create-snapshot", 2),
        ("trees.after-swap", "restore-snapshot", 1),
        ("settle.after-commit", "delete-snapshot", 0),  # the event of its outcome is written and not told
    ],
)
def test_the_present_release_ends_what_a_killed_node_of_the_previous_had_begun(
    used_site: Site, point: str, kind: str, left: int
) -> None:
    site = used_site
    shop = site.home / "apps" / "shop"
    was = digest(shop)
    (shop / "later").write_text("written after the snapshot")
    site.send(kind, "shop", "begun", **({"snapshot_id": site.snapshot("first")} if kind != "create-snapshot" else {}))
    assert site.older("old-1", (point, 1)).ended() == -signal.SIGKILL
    site.migrate()
    site.newer("old-1", "begun")

    assert site.operation("begun")["outcome"]["complete"] is True
    assert (digest(shop) == was) is (kind == "restore-snapshot")
    assert [row["state"] for row in site.rows("SELECT state FROM snapshot")] == ["available"] * left


def test_what_a_killed_node_of_the_present_release_had_begun_waits_for_one_that_can_end_it(used_site: Site) -> None:
    """The previous release cannot read a sealed manifest: it would call the snapshot that it finds damaged."""
    site = used_site
    site.migrate()
    site.register("mail", "old-1")
    site.send("create-snapshot", "shop", "begun")
    site.newer("old-1", "begun", death=Death("archive.after-publish", 1))
    older = site.older("old-1")
    site.wait(site.send("create-snapshot", "mail", "beside-it"))
    site.wait_for(lambda: site.operation("begun")["error_code"] == "left-to-newer-release", "it was left alone")
    begun = site.operation("begun")
    assert (begun["state"], begun["attempts"]) == ("RUNNING", 0)
    older.kill()
    site.newer("old-1", "begun")
    assert [row["state"] for row in site.rows("SELECT state FROM snapshot")] == ["available"] * 3
