"""Snapshots of directory trees in an object store, and the live trees they are restored to.

`open_archive`, `open_trees` and what looks after keys are all that the rest of the program needs;
`docs/format.md` describes what is stored, byte by byte.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from domain.contracts import Archive, ObjectStore, Trees
from storage.archive.archive import StoreArchive
from storage.archive.census import plain_manifests as plain_manifests
from storage.archive.feeder import Opener, open_beneath
from storage.archive.replicated import ReplicatedArchive as ReplicatedArchive
from storage.archive.tenant_keys import TenantKeys as TenantKeys
from storage.archive.trees import AppsRoot
from storage.archive.writer import Tools
from storage.sealing import KeyRing

#: More threads gain little, as one thread reads, and each holds 14 MiB.
MOST_THREADS = 6


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def open_archive(
    store: ObjectStore,
    keyring: KeyRing,
    *,
    encryption: bool = True,
    cache_dir: str | None = None,
    threads: int | None = None,
    wall_ms: Callable[[], int] = _wall_ms,
    opener: Opener = open_beneath,
    keep_free: int | None = None,
) -> Archive:
    """Snapshots in `store`. Touches nothing yet.

    `encryption` seals what is made from now on; what is stored is read either way. `cache_dir` may be lost at any
    time; None keeps no copies. `threads` compress, or write. `wall_ms` dates snapshots and `opener(name, directory)`
    opens the files that are read: for tests. `keep_free` bytes stay free where a tree is staged.
    """
    threads = threads or min(os.cpu_count() or 1, MOST_THREADS)
    return StoreArchive(
        Tools(store, TenantKeys(store, keyring), encryption, cache_dir, threads, wall_ms, opener, keep_free)
    )


def open_trees(apps_root: str) -> Trees:
    """The live directories beneath `apps_root`, which must exist. Trees are staged in its `.backstay`."""
    return AppsRoot(apps_root)
