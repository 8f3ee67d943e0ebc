"""The first act: a real application tree, its snapshot, its damage, its return, and a kill in the middle.

Apart from the upgrades because it needs no region: the tree is the Python environment that Backstay itself
is installed in. The node is left running for whoever comes next.
"""

from __future__ import annotations

import random
import shutil
import sysconfig
import time
from pathlib import Path

from workers.demo.stage import ENDED, Demo, NotTrue, digest

#: Incompressible data that makes the second snapshot long enough to be killed in its middle.
UPLOADS_MEBIBYTES = 384


def tell(demo: Demo) -> None:
    """Register, snapshot, damage, restore, kill, go on."""
    tree = demo.tree("shop")
    source = sysconfig.get_path("purelib")
    shutil.copytree(source, tree, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    files = sum(1 for path in tree.rglob("*") if path.is_file())
    demo.say(f"an application tree of {files:,} files is in place (the Python packages that Backstay runs on)")
    before = digest(tree)
    demo.start_node()
    demo.outcome(demo.publish("register-service", {"directory": "shop"}), "registering")
    demo.say("`backstay serve` runs on SQLite, a folder and a spool: no server; the service is registered")
    snapshot = _snapshot_and_restore(demo, before)
    _kill_in_the_middle(demo, snapshot)


def _snapshot_and_restore(demo: Demo, before: str) -> str:
    tree = demo.tree("shop")
    began = time.monotonic()
    made = demo.outcome(demo.publish("create-snapshot", {"labels": ["reason:demo"]}), "snapshot")["figures"]
    demo.say(
        f"create-snapshot: {made['files']:,} files, {made['logical_bytes'] / 1e6:,.0f} MB stored as "
        f"{made['stored_bytes'] / 1e6:,.0f} MB in {time.monotonic() - began:.1f} s"
    )
    deleted, spoilt = damage(tree)
    if digest(tree) == before:
        raise NotTrue("the damage did not change the tree")
    demo.say(f"the tree is damaged: {deleted:,} files deleted, {spoilt:,} overwritten, a foreign one added")
    began = time.monotonic()
    demo.outcome(demo.publish("restore-snapshot", {"snapshot_id": made["snapshot_id"]}), "restore")
    if digest(tree) != before:
        raise NotTrue("after the restore the tree differs from the original")
    demo.say(f"restore-snapshot: every name, mode, time and byte is as before, in {time.monotonic() - began:.1f} s")
    return str(made["snapshot_id"])


def _kill_in_the_middle(demo: Demo, first: str) -> None:
    tree = demo.tree("shop")
    with (tree / "uploads.bin").open("wb") as file:
        for _ in range(UPLOADS_MEBIBYTES):
            file.write(random.randbytes(1 << 20))
    wanted = digest(tree)
    message_id = demo.publish("create-snapshot", {"labels": ["reason:after-upload"]})

    def in_the_middle() -> bool:
        operation = demo.system.database.find_by_message("/demo", message_id)
        if operation is not None and operation.state in ENDED:
            raise NotTrue("the snapshot ended before it could be killed")
        if operation is None:
            return False
        prefix = demo.system.archive.pack_prefix("acme", operation.op_id)
        return any(True for _ in demo.system.store.list(prefix))

    demo.wait_for(in_the_middle, "the second snapshot did not begin")
    demo.kill_node()
    if demo.system.database.catalogue.find(None, ["shop"], [], 10, None)[0].snapshot_id != first:
        raise NotTrue("half a snapshot is visible")
    demo.say("kill -9 in the middle of a second snapshot: nothing half-made is visible")
    demo.start_node()
    began = time.monotonic()
    made = demo.outcome(message_id, "snapshot, second worker")["figures"]
    demo.say(f"started again: it took the operation over and finished by itself in {time.monotonic() - began:.1f} s")
    target = {"snapshot_id": made["snapshot_id"], "target": {"directory": "shop-copy"}}
    demo.outcome(demo.publish("restore-snapshot", target), "restore of a copy")
    if digest(demo.tree("shop-copy")) != wanted:
        raise NotTrue("the copy restored from the second snapshot differs from the tree")
    demo.say("a copy restored from that snapshot equals the tree, byte for byte")


def damage(tree: Path) -> tuple[int, int]:
    """Delete every third file, spoil every fifth of the rest, leave a foreign one; (deleted, spoilt)."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    for path in files[::3]:
        path.unlink()
    rest = [path for path in files if path.exists()]
    for path in rest[::5]:
        path.write_bytes(b"spoilt")
    (tree / "intruder.txt").write_text("not part of the application\n")
    return len(files[::3]), len(rest[::5])
