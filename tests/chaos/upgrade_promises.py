"""What must hold of an upgrade or a rollback, wherever a worker died: the promises of the matrix.

Apart from the world, which sets the scenarios up, because this is what is proved about them.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from sqlalchemy import MetaData, create_engine, select

from domain.restore import RestoreMode
from tests.acceptance.shop import REGISTRY_PASSWORD
from tests.chaos.world import SOURCE, Unwatched, no_secret_anywhere, nothing_left_over
from tests.fakes.trees import digest
from workers.bootstrap import System

if TYPE_CHECKING:
    from tests.chaos.upgrade_world import UpgradeWorld


def directory_is_whole(world: UpgradeWorld) -> None:
    """At any moment the live directory is exactly one of the trees that it may be."""
    assert digest(world.tree) in world.trees, "the live tree is a mix"


def check(world: UpgradeWorld, system: System) -> None:
    """Everything that must hold once all faults are over."""
    assert world.scenario is not None and world.end is not None
    found = system.database.find_by_message(SOURCE, world.messages[-1])
    assert found is not None, "the message was lost"
    assert found.state is world.scenario.state, f"ended as {found.state}: {found.outcome}"
    kept = sorted(operation.message_id for operation in system.database.list_operations(limit=100))
    assert kept == sorted(world.messages), f"operations: {kept}"
    records = system.database.records.of(found.op_id)
    assert [(r.service_id, r.status) for r in records] == [(world.names.web, world.scenario.status)]
    truth = world.truth(system)
    assert truth.console == world.end.console
    assert truth.region == world.end.region
    assert (truth.image, truth.tree) == (world.end.image, world.end.tree)
    built = world.region.root()["events"][len(world.root["events"]) :]
    assert tuple(event["image"] for event in built) == world.scenario.builds, "not deployed exactly once each"
    _told_once(world, found.op_id)
    snapshots_restore(world, system)
    nothing_left_over(world.home, system, [world.names.web])
    no_secret_anywhere(world.home, REGISTRY_PASSWORD)


def _told_once(world: UpgradeWorld, op_id: str) -> None:
    """One terminal event; and the password is readable in no row of any table."""
    engine, tables = create_engine(world.settings.database_url), MetaData()
    with engine.connect() as connection:
        tables.reflect(connection)
        outbox = tables.tables["outbox"]
        events = connection.scalars(select(outbox.c.topic).where(outbox.c.op_id == op_id)).all()
        for table in tables.sorted_tables:
            for row in connection.execute(select(table)):
                values = [bytes(v) if isinstance(v, memoryview | bytes) else str(v).encode() for v in row]
                assert not any(REGISTRY_PASSWORD.encode() in v for v in values), f"readable in {table.name}"
    engine.dispose()
    assert len(events) == 1, f"told as {events}"


def snapshots_restore(world: UpgradeWorld, system: System) -> None:
    """Every snapshot with data restores to a tree that there has been."""
    for listed in system.database.catalogue.find(None, [world.names.web], [], 100, None):
        if "data" not in listed.include:
            continue
        staging = world.home / "apps" / f"check-{listed.snapshot_id}" / "tree"
        nowhere = str(world.home / "apps" / "nowhere")
        system.archive.stage(listed.manifest_key, nowhere, str(staging), RestoreMode.REPLACE, Unwatched())
        assert digest(staging) in world.trees, f"{listed.snapshot_id} restores to something else"
        shutil.rmtree(staging.parent)
