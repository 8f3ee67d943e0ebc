"""`backstay keys`: the ring, what is sealed with each of its keys, and the data keys of tenants.

Apart from `config` because these open the database and the store. No key is ever shown, but for a new one that was
asked for and that nothing is sealed with yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import NotFound, Refused
from domain.identity import check_name
from workers.cli.exits import Exit
from workers.cli.session import AsJson, Session, session

if TYPE_CHECKING:
    from workers.bootstrap import TenantKeys

group = typer.Typer(no_args_is_help=True, help="Keys: list them, rotate the ring, destroy a tenant's.")

Plain = Annotated[bool, typer.Option("--snapshots", help="Also look at every manifest that is not sealed.")]


@dataclass(slots=True)
class Use:
    """What one key of the ring seals."""

    values: int = 0  # in SQL
    tenants: list[str] = field(default_factory=list)  # whose data keys it wraps
    snapshots: int | None = None  # plain ones whose configuration it seals; None: nobody looked


@group.command("list")
def list_(snapshots: Plain = False, as_json: AsJson = False) -> None:
    """Say what is sealed with each key of the ring, and with keys that it lacks."""
    with session(as_json) as here:
        uses, lost = _uses(here, snapshots)
        _tell(here, uses, lost, {})
        if lost.values or lost.tenants or lost.snapshots:
            raise typer.Exit(Exit.FAILED)


@group.command()
def rotate(
    entry: Annotated[bool, typer.Option("--entry", help="Only print a new key for BACKSTAY_SECRET_KEYS.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a new key first in the embedded ring. Then restart the node, and `keys rewrap`."""
    with session(as_json) as here:
        if entry:
            text = here.system.new_ring_entry()
            here.screen.document({"entry": text})
            here.screen.line(text)
            return
        here.audit("keys.rotate", "keys")
        key_id = here.system.rotate_embedded_keys()
        here.screen.document({"current": key_id})
        here.screen.line(f"key {key_id} is in the ring {here.settings.data_dir}/secret.keys and seals from now on")
        here.screen.note(
            "next: copy the ring to where its copy is kept, restart the node, and run `backstay keys rewrap`"
        )


@group.command()
def rewrap(as_json: AsJson = False) -> None:
    """Seal everything anew with the current key: values in SQL, data keys of tenants. No pack is rewritten."""
    with session(as_json) as here:
        ring = here.system.keyring
        here.audit("keys.rewrap", "keys", key=ring.current)
        values, closed = here.database().rewrap(ring.head(ring.current))
        done, failed = [], {}
        for keys, tenant_id in _data_keys(here):
            try:
                if keys.rewrap(tenant_id) and tenant_id not in done:
                    done.append(tenant_id)
            except Refused as error:
                failed[tenant_id] = str(error)
        uses, lost = _uses(here, True)
        rewrapped = {"current": ring.current, "values": values, "tenants": done, "values_not_opened": closed}
        _tell(here, uses, lost, {"rewrapped": rewrapped, "failed": failed})
        for tenant_id, why in failed.items():
            here.screen.note(f"tenant {tenant_id}: {why}")
        if failed or closed:
            raise typer.Exit(Exit.PARTIAL)


@group.command()
def destroy(
    tenant: Annotated[str, typer.Option(metavar="T", help="Whose key.")],
    yes: Annotated[bool, typer.Option("--yes", help="Yes, for good.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make every sealed snapshot of a tenant unreadable, for good, and delete its exports."""
    with session(as_json) as here:
        check_name(tenant, "tenant")
        if not yes:
            raise Refused(
                f"every sealed snapshot of tenant {tenant} would be unreadable, for good",
                code="not-confirmed",
                next_step="say it with --yes",
            )
        key_id = None
        here.audit("keys.destroy", f"tenant/{tenant}", tenant_id=tenant)
        # The primary first: from then on nothing is copied any more.
        for keys in here.system.every_tenant_keys:
            gone = keys.destroy(tenant)
            key_id = key_id or gone
        if key_id is not None:
            here.screen.line(f"key {key_id} of tenant {tenant} is destroyed; what it sealed cannot be read again")
        plain = [key for key, _ in here.system.plain_snapshots(f"tenants/{tenant}/services/")]
        if plain:
            here.screen.note(f"{len(plain)} snapshots of the tenant are not sealed and stay readable: delete them")
        if key_id is None:
            raise NotFound(f"tenant {tenant} has no key: nothing of it is sealed, or its key was destroyed before")
        here.screen.document({"tenant_id": tenant, "destroyed": key_id, "still_readable": plain})
        here.screen.note("versions and backups of the bucket may still hold the key's object: remove it there too")


def _data_keys(here: Session) -> list[tuple[TenantKeys, str]]:
    """Every tenant's key in the primary store and in each replica."""
    return [(keys, tenant_id) for keys in here.system.every_tenant_keys for tenant_id in keys.tenants()]


def _uses(here: Session, snapshots: bool) -> tuple[dict[str, Use], Use]:
    """By key of the ring, and together for all that the ring lacks."""
    ring = here.system.keyring
    uses, lost = {name: Use() for name in ring.names}, Use()
    counts, lost.values = here.database().sealed_values({name: ring.head(name) for name in ring.names})
    for name, number in counts.items():
        uses[name].values = number
    for keys, tenant_id in _data_keys(here):
        try:
            wrapped_by = keys.look(tenant_id).ring_key
        except Refused:
            wrapped_by = ""  # destroyed since it was listed, or no key at all: `read` says which
        use = uses.get(wrapped_by, lost)
        if tenant_id not in use.tenants:
            use.tenants.append(tenant_id)
    if snapshots:
        for use in (*uses.values(), lost):
            use.snapshots = 0
        for _, ring_key in here.system.plain_snapshots():
            if ring_key is not None:
                use = uses.get(ring_key, lost)
                use.snapshots = (use.snapshots or 0) + 1
    return uses, lost


def _tell(here: Session, uses: dict[str, Use], lost: Use, more: dict[str, Any]) -> None:
    ring = here.system.keyring
    rows = []
    for name, use in uses.items():
        # Nobody knows before the manifests were looked at, too.
        free = name != ring.current and not use.values and not use.tenants and use.snapshots == 0
        rows.append({"key": name, "current": name == ring.current, **_document(use), "removable": free})
    here.screen.document({"ring": rows, "not_in_ring": _document(lost), **more})
    shown = [
        (
            row["key"] + (" (seals)" if row["current"] else ""),
            str(row["values"]),
            str(len(row["tenants"])),
            "?" if row["snapshots"] is None else str(row["snapshots"]),
            "yes" if row["removable"] else "no",
        )
        for row in [*rows, {"key": "not in the ring", "current": False, **_document(lost), "removable": False}]
    ]
    here.screen.table(("KEY", "VALUES IN SQL", "TENANT KEYS", "PLAIN SNAPSHOTS", "REMOVABLE"), shown, "")


def _document(use: Use) -> dict[str, Any]:
    return {"values": use.values, "tenants": use.tenants, "snapshots": use.snapshots}
