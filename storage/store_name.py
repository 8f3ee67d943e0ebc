"""The name of a store: one small object in it, random, given once.

Apart from the records of snapshots, which name the store that holds them, because a node too looks whether it is still
the same one that it has written to. A copy of a whole store has the same name.
"""

from __future__ import annotations

import os
import re

from domain.contracts import ObjectStore
from domain.errors import Damaged, ObjectMissing, StoreUnavailable
from domain.failpoint import failpoint
from storage.archive import layout

_NAME = re.compile(rb"[0-9a-f]{32}\Z")


def name_of(store: ObjectStore) -> str | None:
    """What the store is called, if it has been named. Raises Damaged."""
    try:
        found = store.get(layout.STORE_ID)
    except ObjectMissing:
        return None
    if not is_name(found):
        raise Damaged(f"the object {layout.STORE_ID}, which identifies the store, is damaged", code="store-id-damaged")
    return found.decode("ascii")


def is_name(found: bytes) -> bool:
    """Whether that is how a store is called."""
    return _NAME.match(found) is not None


def give_name(store: ObjectStore) -> str:
    """Name the store; of several nodes that do, the first put decides. Raises StoreUnavailable, Damaged."""
    failpoint("store-id.before-create")
    store.create(layout.STORE_ID, [os.urandom(16).hex().encode("ascii")])
    failpoint("store-id.after-create")
    name = name_of(store)
    if name is None:  # a network's file system may remember for seconds that it is not there
        raise StoreUnavailable(f"the object {layout.STORE_ID} was just made, and the store does not show it yet")
    return name
