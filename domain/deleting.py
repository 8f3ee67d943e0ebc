"""Removing the objects of snapshots that are marked as deleted, as far as no other snapshot needs them.

Apart from the handlers because deleting one and applying a policy both end with it. From the mark on there is only
forward: when the store will not, the sweeper goes on later.
"""

from __future__ import annotations

from domain.context import Context
from domain.errors import Cancelled, Damaged, DeadlineExceeded, Refused, StoreUnavailable


def remove_objects(context: Context) -> str:
    """Collect what has become garbage; a sentence if the store would not."""
    try:
        while rows := context.catalogue.garbage(200, context.archive.replicas):
            gone = context.archive.collect(rows, context.catalogue.live_packs)
            context.catalogue.forget_garbage(gone)
            context.watch.advance()
            if len(gone) < len(rows):
                break
    except (StoreUnavailable, Refused, Damaged, Cancelled, DeadlineExceeded) as error:
        return f"the store did not remove all objects ({error}); the sweeper will"
    return ""
