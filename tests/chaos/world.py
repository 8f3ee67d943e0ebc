"""What a chaos run is about: messages published beforehand, a service's tree, and the promises to check.

The world is set up once without faults, then copied for every death, so that each run begins the same.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from domain.operation import TERMINAL, State
from domain.restore import RestoreMode
from tests.fakes.trees import digest, grow
from tests.prove.listener import Listener
from workers.bootstrap import System
from workers.config import Settings, load

SOURCE = "/chaos"
SECRET = "pa55word-canary-7f3a"
TENANT, SERVICE = "acme", "shop"


def settings_of(home: Path, **overrides: str) -> Settings:
    """An embedded node in `home`; `overrides` are environment variables."""
    return load(
        {
            "BACKSTAY_DATA_DIR": str(home),
            "BACKSTAY_READER_GRACE_SECONDS": "0",  # the run looks whether objects are gone
            "BACKSTAY_NODE": "chaos-1",
            "BACKSTAY_THREADS": "1",
            "BACKSTAY_LEASE_SECONDS": "60",
            "BACKSTAY_LOG_LEVEL": "error",
            **overrides,
        }
    )


def command(kind: str, message_id: str, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": message_id,
        "source": SOURCE,
        "type": f"backstay.{kind}.v1",
        "subject": f"tenant/{TENANT}/service/{SERVICE}",
        "data": data,
    }


def publish(home: Path, name: str, body: bytes) -> None:
    """As any other program would: write a file and rename it into the spool."""
    queue = home / "spool" / "backstay.inbox"
    for part in ("tmp", "new", "cur"):
        (queue / part).mkdir(parents=True, exist_ok=True)
    (queue / "tmp" / name).write_bytes(body)
    os.rename(queue / "tmp" / name, queue / "new" / name)


@dataclass(frozen=True, slots=True)
class World:
    """A data directory, and what has been published into it."""

    home: Path
    messages: tuple[str, ...]  # ids of valid commands, each published at least once
    letters: int  # messages that must become dead letters
    first_tree: str  # digest of the tree that the first snapshot must bring back
    second_tree: str  # digest of the tree that is live when the run begins
    no_room: tuple[str, ...] = ()  # of the messages those that ended for want of room, which changes nothing

    @property
    def tree(self) -> Path:
        return self.home / "apps" / SERVICE

    @property
    def last_tree(self) -> str:
        """Digest of the tree that must be live in the end."""
        return self.second_tree if "restore" in self.no_room else self.first_tree

    def copy_to(self, home: Path) -> World:
        """The same world in another directory, which may exist."""
        shutil.copytree(self.home, home, symlinks=True, dirs_exist_ok=True)
        return replace(self, home=home)

    def finished(self, system: System) -> bool:
        """Every published command has ended, every event is told, nothing is left in the spool."""
        return all_over(self.home, self.messages, system)


def all_over(home: Path, messages: Sequence[str], system: System, ends: Collection[State] = TERMINAL) -> bool:
    """Every one of these commands has ended, every event is told, nothing is left in the spool."""
    queue = home / "spool" / "backstay.inbox"
    try:
        if any((queue / "new").iterdir()) or any((queue / "cur").glob("*/*")):
            return False
    except FileNotFoundError:  # a folder of the spool went away under the look
        return False
    found = [system.database.find_by_message(SOURCE, message_id) for message_id in messages]
    ended = all(operation is not None and operation.state in ends for operation in found)
    return ended and system.database.outbox.waiting()[0] == 0


def prepare(home: Path) -> World:
    """A schema, a tree, and the two messages that register the service and snapshot it for the first time."""
    system = System(settings_of(home))
    system.database.migrate()
    tree = home / "apps" / SERVICE
    grow(tree, seed=1)
    system.close()
    configuration = {"envs": [{"name": "DB_PASSWORD", "value": SECRET, "secret": True}]}
    publish(home, "0-register", encoded(command("register-service", "register", {"configuration": configuration})))
    publish(home, "1-zeroth", encoded(command("create-snapshot", "zeroth", {"labels": ["step:zeroth"]})))
    publish(home, "2-first", encoded(command("create-snapshot", "first", {"labels": ["step:first"]})))
    return World(home, ("register", "zeroth", "first"), 0, digest(tree), digest(tree))


def publish_the_run(world: World, zeroth_snapshot: str, first_snapshot: str) -> World:
    """A snapshot, its repeat, a restore of the first one, a delete, a retention policy that removes another, an
    unreadable message and a faulty one."""
    home = world.home
    Listener(settings_of(home).broker_url)  # its queue is copied with the world
    grow(world.tree, seed=2, files=10)
    (world.tree / "static" / "new.txt").write_text("made after the first snapshot")
    second = encoded(command("create-snapshot", "second", {"labels": ["step:second"]}))
    publish(home, "2-second", second)
    publish(home, "3-second-again", second)
    publish(home, "4-restore", encoded(command("restore-snapshot", "restore", {"snapshot_id": first_snapshot})))
    publish(home, "5-unreadable", b"\xff not json")
    publish(home, "6-faulty", encoded(command("create-snapshot", "faulty", {"labels": [f"no-colon {SECRET}"]})))
    publish(home, "7-third", encoded(command("create-snapshot", "third", {"labels": ["step:third"]})))
    publish(home, "8-delete", encoded(command("delete-snapshot", "delete", {"snapshot_id": zeroth_snapshot})))
    publish(home, "9-retention", encoded(command("apply-retention", "retention", {"policy": {"last": 2}})))
    messages = ("second", "restore", "third", "delete", "retention")
    return World(home, messages, 2, world.first_tree, digest(world.tree))


def encoded(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


# ---------------------------------------------------------------- the promises
def live_tree_is_whole(world: World) -> None:
    """I15: at any moment the live tree is exactly the old one or exactly the restored one."""
    assert digest(world.tree) in (world.first_tree, world.second_tree), "the live tree is a mix"


def check(world: World, system: System) -> None:
    """Everything that must hold once all faults are over."""
    _one_outcome_each(world, system)
    _snapshots_restore(world, system)
    nothing_left_over(world.home, system, [SERVICE])
    no_secret_anywhere(world.home, SECRET)
    assert digest(world.tree) == world.last_tree, "the restored tree is not the snapshot's"


def _one_outcome_each(world: World, system: System) -> None:
    """I1, I2, I5: one operation per message, all succeeded but for want of room, told by exactly one event each, which
    has arrived; what did not is a dead letter."""
    listener = Listener(settings_of(world.home).broker_url)
    for message_id in world.messages:
        operation = system.database.find_by_message(SOURCE, message_id)
        assert operation is not None, f"{message_id} was lost"
        ended = (operation.state, operation.error_code)
        wanted = (State.FAILED, "no-room") if message_id in world.no_room else (State.SUCCEEDED, None)
        assert ended == wanted, f"{message_id} ended as {operation.state}: {operation.outcome}"
        listener.misses({operation.op_id})
        heard = listener.ends(operation.op_id)
        assert heard == [operation.state.value.lower()], (
            f"what a listener has heard of the end of {message_id} is {heard}"
        )
    kept = [o.message_id for o in system.database.list_operations(limit=100)]
    assert sorted(kept) == sorted({"register", "zeroth", "first", *world.messages}), f"operations: {kept}"
    letters = system.database.dead_letters.list(resolved=False, limit=100, before=None)
    assert len(letters) == world.letters + len(world.no_room), f"dead letters: {[letter.reason for letter in letters]}"


def _snapshots_restore(world: World, system: System) -> None:
    """I13: an available snapshot restores byte for byte; the deleted one is gone."""
    found = {str(s.labels[0]): s for s in system.database.catalogue.find(None, [SERVICE], [], 100, None)}
    held = [(label, s.state.value, s.taken_at, s.verified_level) for label, s in sorted(found.items())]
    assert set(found) == {"step:second", "step:third"}, f"listed: {held}, ended: {_ends_of(world, system)}"
    wanted = {"step:second": world.second_tree, "step:third": world.last_tree}
    for label, snapshot in found.items():
        staging = world.home / "apps" / f"check-{snapshot.snapshot_id}" / "tree"
        target = str(world.home / "apps" / "nowhere")
        system.archive.stage(snapshot.manifest_key, target, str(staging), RestoreMode.REPLACE, Unwatched())
        assert digest(staging) == wanted[label], f"{label} restores to something else"
        shutil.rmtree(staging.parent)


def _ends_of(world: World, system: System) -> list[tuple[str, int, str]]:
    """Message, place in the queue and what was said at the end, for whoever has to find out why."""
    ended = [system.database.find_by_message(SOURCE, message_id) for message_id in world.messages]
    return [(one.message_id, one.seq, str((one.outcome or {}).get("sentence"))) for one in ended if one is not None]


def nothing_left_over(home: Path, system: System, directories: list[str]) -> None:
    """I16, I17: no staging folder, no temporary file, no object that nothing refers to."""
    assert system.trees.staged_operations() == []
    assert sorted(p.name for p in (home / "apps").iterdir() if p.name != ".backstay") == directories
    listed = system.database.catalogue.find(None, [], [], 100, None)
    snapshots = [found for s in listed if (found := system.database.catalogue.get(s.snapshot_id))]
    wanted = {s.manifest_key for s in snapshots} | {pack for s in snapshots for pack in s.packs}
    wanted |= {"tenants/acme/key"}  # made once, before anything is sealed with it
    stored = {info.key for info in system.store.list("tenants/")}
    assert stored == wanted, f"left over: {sorted(stored - wanted)}, missing: {sorted(wanted - stored)}"


def no_secret_anywhere(home: Path, secret: str) -> None:
    """I18: the marked secret is in no file: database, write-ahead log, store, events."""
    for path in home.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert secret.encode() not in path.read_bytes(), f"the secret is readable in {path}"


class Unwatched:
    """A Watch that never objects."""

    def check(self) -> None: ...
    def keep(self, seconds: float) -> None: ...

    def staying(self) -> AbstractContextManager[None]:
        return nullcontext()

    def insist(self) -> None: ...
    def advance(self, bytes_done: int = 0, files_done: int = 0) -> None: ...
    def expect(self, bytes_total: int, files_total: int) -> None: ...
