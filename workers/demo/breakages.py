"""What is broken on the stage of `backstay demo --broken`: how it came to be, and when it is repaired.

Apart from the site because each of these is a story of its own. Every one is brought about by what brings it
about in life: a token that was renewed, a directory that was moved, a program that is not there, a store that
lost some bytes, a node that died, a pause that was forgotten, a publisher that sends what nobody understands.
Nothing is written into SQL. What repairs it is the operator's choice; only the result is looked at.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from domain.configuration import Configuration
from domain.operation import State
from domain.snapshot import SnapshotState
from workers.demo.premises import LOST_NODE, NODE, Site
from workers.demo.region import as_region
from workers.demo.stage import digest
from workers.demo.upgrades import APPLICATION, V1, version

#: Changes that the region has made of the upgrade when its token is renewed.
CHANGES_BEFORE = 2
NEW_TOKEN = "Bearer 2026-demo"


@dataclass(frozen=True, slots=True)
class Breakage:
    """One thing that is broken. `healed` looks at what is true, whoever made it so."""

    #: Said when it is repaired.
    repaired: str
    prepare: Callable[[Site], None]
    damage: Callable[[Site], None]
    healed: Callable[[Site], bool]


# ---------------------------------------------------------------- an upgrade that is STUCK
def _install_shop(site: Site) -> None:
    site.write("shop", {f"order-{number}": f"order {number}\n" for number in range(40)})
    configuration = V1 | {"group_key": APPLICATION, "version": "1.0"}
    data = {"region": "demo", "directory": "shop", "node": NODE, "configuration": configuration}
    site.run("register-service", "shop", data)
    site.region.install("shop", "shop", _rows(site))
    data = {
        "group_key": APPLICATION,
        "version": "2.0",
        "template": {"services": {"shop": version(2)["services"]["web"]}},
    }
    site.run("publish-version", "shop", data)


def _renew_token_in_the_middle(site: Site) -> None:
    seen = len(site.region.calls())
    site.region.script({"match": {"path": "/services/"}, "do": {"action": "apply", "delay_ms": 150}})
    key = site.publish("upgrade-service", "shop", {"version": "2.0"})
    site.wait_for(lambda: len(site.region.calls()) >= seen + CHANGES_BEFORE, "the upgrade did not begin")
    letter = site.home / "mail-from-the-region.txt"
    letter.write_text(f"Your token was renewed. The new one is:\n{NEW_TOKEN}\n")
    site.region.renew_token(NEW_TOKEN, f"this token was renewed; the new one was sent to {letter}")
    site.region.script()
    site.ended(key, State.STUCK)


def _shop_is_whole(site: Site) -> bool:
    held = site.system.database.list_operations(
        service_id="shop", states=(State.STUCK, State.QUEUED, State.RUNNING, State.COMPENSATING), limit=1
    )
    return not held and _rows(site) == site.region.held("shop")


def _rows(site: Site) -> dict[str, object]:
    service = site.system.database.services.get("shop")
    assert service is not None
    return as_region(Configuration.load(service.document))


# ---------------------------------------------------------------- a directory that was moved
def _install_blog(site: Site) -> None:
    site.write("blog", {"index.html": "<h1>On pumps</h1>\n"})
    site.run("register-service", "blog", {"directory": "blog"})
    site.run("create-snapshot", "blog", {"labels": ["reason:nightly"]})


def _move_blog(site: Site) -> None:
    os.rename(site.apps() / "blog", site.apps() / "blog.old")
    site.run("create-snapshot", "blog", {"labels": ["reason:nightly"]}, State.FAILED)


def _blog_is_saved(site: Site) -> bool:
    return (site.apps() / "blog" / "index.html").exists() and _saved_since(site, "blog", 1)


# ---------------------------------------------------------------- a program that is not there
def _install_wiki(site: Site) -> None:
    site.write("wiki", {"index.md": "# Pumps\n"})
    site.run("register-service", "wiki", {"directory": "wiki", "sources": ["notes"]})
    site.run("create-snapshot", "wiki", {"labels": ["reason:nightly"]})


def _misspell_the_program(site: Site) -> None:
    text = site.file.read_text()
    site.file.write_text(text.replace("/bin/dump-notes", "/bin/dump-note"))
    site.stop(NODE)
    site.start(NODE)
    site.run("create-snapshot", "wiki", {"labels": ["reason:nightly"]}, State.FAILED)


def _wiki_is_saved(site: Site) -> bool:
    return _saved_since(site, "wiki", 1)


# ---------------------------------------------------------------- a snapshot that the store has damaged
def _install_docs(site: Site) -> None:
    site.write("docs", _pages(1))
    site.run("register-service", "docs", {"directory": "docs"})
    site.run("create-snapshot", "docs", {"labels": ["reason:nightly"]})
    (site.home / "docs.digest").write_text(digest(site.apps() / "docs"))
    site.write("docs", _pages(2))
    site.run("create-snapshot", "docs", {"labels": ["reason:nightly"]})


def _pages(edition: int) -> dict[str, str]:
    """Pages that do not compress to nothing, so that what is damaged is content."""
    draw = random.Random(edition)
    return {f"page-{number}.md": f"# Page {number}\n{draw.randbytes(2000).hex()}\n" for number in range(20)}


def _lose_bytes_and_the_tree(site: Site) -> None:
    newest = site.system.database.catalogue.newest("docs")
    assert newest is not None
    prefix = site.system.archive.pack_prefix(newest.tenant_id, newest.snapshot_id)
    for info in site.system.store.list(prefix):
        _spoil(site.home / "store" / info.key)
    for path in (site.apps() / "docs").iterdir():
        path.unlink()
    site.run("restore-snapshot", "docs", {"snapshot_id": newest.snapshot_id}, State.FAILED)


def _spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.chmod(0o600)
    path.write_bytes(data)


def _docs_are_back(site: Site) -> bool:
    tree = site.apps() / "docs"
    return tree.exists() and digest(tree) == (site.home / "docs.digest").read_text()


# ---------------------------------------------------------------- a node that is gone
def _install_mail(site: Site) -> None:
    site.start(LOST_NODE)
    site.write("mail", {"inbox": "Dear all\n"}, LOST_NODE)
    site.run("register-service", "mail", {"directory": "mail", "node": LOST_NODE})
    site.run("create-snapshot", "mail", {"labels": ["reason:nightly"]})


def _lose_the_node(site: Site) -> None:
    site.stop(LOST_NODE)
    key = site.publish("create-snapshot", "mail", {"labels": ["reason:nightly"]})
    site.wait_for(lambda: site.system.database.find_by_message(*key) is not None, "the message was not accepted")


def _mail_lives_here(site: Site) -> bool:
    service = site.system.database.services.get("mail")
    waiting = site.system.database.list_operations(service_id="mail", states=(State.QUEUED, State.RUNNING), limit=1)
    here = service is not None and service.node == NODE and (site.apps() / "mail" / "inbox").exists()
    return here and not waiting


# ---------------------------------------------------------------- a schedule that was paused and forgotten
def _schedule_docs(site: Site) -> None:
    wish = {"kind": "create-snapshot", "service": "docs", "cron": "30 2 * * *", "data": {"labels": ["reason:nightly"]}}
    site.run("set-schedule", "nightly", wish)


def _forget_the_pause(site: Site) -> None:
    site.run("pause-schedule", "nightly", {"reason": "until the new disk of demo-1 is in; it came in March"})


def _docs_are_scheduled(site: Site) -> bool:
    return any(one.service_id == "docs" and one.pause is None for one in site.system.database.schedules.list())


# ---------------------------------------------------------------- messages that nobody understands
def _nothing(_site: Site) -> None:
    """All was well."""


def _send_what_nobody_understands(site: Site) -> None:
    for service in ("blog", "docs", "mail"):
        site.publish("create-snapshot", service, {"label": ["reason:weekly"]}, "/weekly-cron")
    site.publish_raw(b'{"specversion": "1.0", "id": "half-a-mess')
    site.wait_for(
        lambda: len(site.system.database.dead_letters.list(resolved=False, limit=50, before=None)) >= 4,
        "no dead letters",
    )


def _nothing_waits_for_a_person(site: Site) -> bool:
    return not site.system.database.dead_letters.list(resolved=False, limit=1, before=None)


def _saved_since(site: Site, service: str, before: int) -> bool:
    found = site.system.database.catalogue.find(None, [service], [], before + 1, None)
    return len([one for one in found if one.state is SnapshotState.AVAILABLE]) > before


#: In the order in which they are brought about.
BREAKAGES = (
    Breakage(
        "blog has its directory again, and a snapshot of it was taken",
        _install_blog, _move_blog, _blog_is_saved,
    ),
    Breakage(
        "wiki was saved with its database: the program is found",
        _install_wiki, _misspell_the_program, _wiki_is_saved,
    ),
    Breakage(
        "docs has its files back, from the snapshot that was whole",
        _install_docs, _lose_bytes_and_the_tree, _docs_are_back,
    ),
    Breakage(
        f"mail lives on {NODE} and nothing waits for {LOST_NODE} any more",
        _install_mail, _lose_the_node, _mail_lives_here,
    ),
    Breakage(
        "shop: console and region say the same, and nothing of it is STUCK",
        _install_shop, _renew_token_in_the_middle, _shop_is_whole,
    ),
    Breakage(
        "docs is saved by its schedule again",
        _schedule_docs, _forget_the_pause, _docs_are_scheduled,
    ),
    Breakage(
        "no dead letter waits for a person",
        _nothing, _send_what_nobody_understands, _nothing_waits_for_a_person,
    ),
)  # fmt: skip
