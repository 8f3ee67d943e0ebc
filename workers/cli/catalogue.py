"""`backstay catalogue`: the SQL index of snapshots against what lies in the store.

Apart from `snapshots` because it is about the index as a whole: for the day on which a database was lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import Refused
from domain.operation import State
from workers.cli.exits import Exit
from workers.cli.session import AsJson, Session, session

if TYPE_CHECKING:
    from workers.cataloguing import Cataloguing, Finding

group = typer.Typer(no_args_is_help=True, help="The index of snapshots: check it against the store, make it anew.")

#: Keys that are named on the screen; JSON has all.
SHOWN = 20


@group.command()
def rebuild(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken in.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take every snapshot of the store that the catalogue does not know back into it."""
    with session(as_json) as here:
        database = here.database()
        if busy := database.list_operations(states=(State.RUNNING, State.COMPENSATING), limit=1):
            raise Refused(
                f"operation {busy[0].op_id} is under way, and what it stores is not to be taken in before its time",
                code="busy",
                next_step="stop the nodes or wait, and try again",
            )
        if not dry_run:
            here.audit("catalogue.rebuild", "catalogue")
        found = _cataloguing(here).rebuild(write=not dry_run, told=lambda key: None)
        here.screen.document({"dry_run": dry_run, **_document(found)})
        verb = "would be taken in" if dry_run else "taken in"
        here.screen.line(f"{len(found.added)} snapshots {verb}, {found.known} were known", "bold")
        _tell(here, found)
        if found.passed_over:
            raise typer.Exit(Exit.PARTIAL)


@group.command()
def check(as_json: AsJson = False) -> None:
    """Read every manifest; say what of it the store lacks (code 13), and what only the store knows."""
    with session(as_json) as here:
        here.database()
        found = _cataloguing(here).check()
        here.screen.document(_document(found))
        here.screen.line(
            f"{found.known} snapshots have all their objects, {len(found.missing)} objects are missing or damaged"
        )
        _tell(here, found)
        if found.missing:
            raise typer.Exit(Exit.VERIFY_FAILED)


def _cataloguing(here: Session) -> Cataloguing:
    from workers.cataloguing import Cataloguing

    return Cataloguing(here.system.store, here.system.archive, here.system.database.catalogue)


def _document(found: Finding) -> dict[str, Any]:
    return {
        "added": found.added,
        "known": found.known,
        "passed_over": [{"snapshot_id": name, "reason": why} for name, why in found.passed_over],
        "missing": [{"snapshot_id": name, "key": key, "reason": why} for name, key, why in found.missing],
        "unknown_manifests": found.unknown_manifests,
        "unknown_packs": found.unknown_packs,
        "foreign": found.foreign,
    }


def _tell(here: Session, found: Finding) -> None:
    lists = (
        ("passed over", [f"{name}: {why}" for name, why in found.passed_over]),
        ("missing or damaged", [f"{key} of snapshot {name}: {why}" for name, key, why in found.missing]),
        ("snapshot that the catalogue does not know", found.unknown_manifests),
        ("pack that no snapshot of the catalogue needs", found.unknown_packs),
        ("foreign object, left alone", found.foreign),
    )
    for what, lines in lists:
        for line in lines[:SHOWN]:
            here.screen.line(f"  {what}: {line}")
        if len(lines) > SHOWN:
            here.screen.line(f"  {what}: {len(lines) - SHOWN} more (--json lists all)")
