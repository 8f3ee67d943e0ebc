"""What may be left over when everything has ended, and for how long: known garbage, staged trees, unfinished uploads.

Apart from the audit and from the promises of one case, which both ask it: being known as garbage is an excuse for a
while only, or a sweeper that never removes anything would be seen by nobody.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from domain.operation import TERMINAL
from storage.archive.trees import FOLDER, AppsRoot
from storage.objects.s3 import S3Store
from tests.prove.bench import Bench, Known
from workers.sweeper import TIDY_SECONDS, UPLOAD_AGE_SECONDS, UPLOADS_SECONDS

#: Seconds for which garbage may have been due: every node looks once in TIDY_SECONDS, and one of them may have been
#: frozen, dead or without its servers when it was its turn.
OVERDUE_SECONDS = 2 * TIDY_SECONDS
#: Seconds in which nodes that work without faults remove what is overdue: what three rounds in a row could not remove
#: rests for four minutes.
PATIENCE = 6 * TIDY_SECONDS
#: Seconds between looks.
LOOK_EVERY = 0.5
#: Age in seconds that no upload reaches which nobody feeds: the sweeper gives it up at its next look.
OLD_UPLOAD_SECONDS = UPLOAD_AGE_SECONDS + 2 * UPLOADS_SECONDS
#: Seconds after which an upload has an age: a store's answers are dated by whole seconds.
CLOCK_SECONDS = 3.0


def stays(bench: Bench) -> list[str]:
    """I17: what nodes that work have not removed in time; waits for them at most PATIENCE. Garbage, and in the apps
    roots of these nodes whatever is no directory of a service."""
    until = time.monotonic() + PATIENCE
    while (found := _overdue(bench)) and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
    return found


def _overdue(bench: Bench) -> list[str]:
    late = [row for row in bench.garbage() if row.due_seconds() > OVERDUE_SECONDS]
    return [told(row) for row in late] + [line for apps in roots(bench) for line in strays(bench, apps)]


def uncollected(bench: Bench) -> list[str]:
    """I17: garbage that is there after a forked node, which collects before it ends. What never had to rest is due
    from its beginning on; what did, where late writes are waited for, may have come due since."""
    return [told(row) for row in bench.garbage() if not row.rested or row.due_seconds() > OVERDUE_SECONDS]


def excuses(bench: Bench) -> list[Known]:
    """The garbage whose objects may still be there; also what has only just become overdue, between a look at it and
    this one. Whoever compares it with a listing asks first: in between a node may remove an object and forget its row.
    """
    return [row for row in bench.garbage() if row.due_seconds() <= OVERDUE_SECONDS + TIDY_SECONDS]


def told(row: Known) -> str:
    """A sentence about a row that ought to be gone."""
    return f"garbage, due for {row.due_seconds():.0f} s, and still known: {row.key}"


# ------------------------------------------------------------ apps roots
def roots(bench: Bench) -> list[Path]:
    """The apps roots in which a service's directory is known to be."""
    return sorted({note["path"].parent for note in bench.notes.values() if "path" in note})


def strays(bench: Bench, apps: Path) -> list[str]:
    """I17: beside the directories of services there is nothing, and nothing is staged for what has ended."""
    staged = {name: bench.system.database.ledger.get(name) for name in AppsRoot(str(apps)).staged_operations()}
    bad = [f"still staged: {name}" for name, one in staged.items() if one is None or one.state in TERMINAL]
    present = {path.name for path in apps.iterdir()} if apps.is_dir() else set()
    usual = bench.home / "data" / "apps"
    known = {name for name, note in bench.notes.items() if note.get("path", usual / name).parent == apps}
    return bad + [f"beside the services' directories: {name}" for name in sorted(present - {FOLDER, *known})]


# ------------------------------------------------------------ uploads
def uploads(bench: Bench) -> list[str]:
    """I17: when everything has ended, none is older than one can get that nobody feeds; and those of dead processes,
    which may be there, all go when the product's sweep is made as if their time were over."""
    store = bench.system.store
    if not isinstance(store, S3Store):
        return []
    oldest = datetime.now(UTC) - timedelta(seconds=OLD_UPLOAD_SECONDS)
    bad = [f"the upload of {key} has been open since {began}" for key, began in _open(store) if began < oldest]
    until = time.monotonic() + CLOCK_SECONDS
    store.sweep(0)
    while (left := [key for key, _ in _open(store)]) and time.monotonic() < until:
        time.sleep(LOOK_EVERY)
        store.sweep(0)
    return bad + [f"the sweep does not give up the upload of {key}" for key in left]


def _open(store: S3Store) -> Iterator[tuple[str, datetime]]:
    """Key in the bucket, which is this stack's own, and beginning of every unfinished upload."""
    for page in store._client().get_paginator("list_multipart_uploads").paginate(Bucket=store._place.bucket):
        for upload in page.get("Uploads", []):
            yield upload["Key"], upload["Initiated"]
