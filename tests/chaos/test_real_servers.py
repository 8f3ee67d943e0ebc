"""Kill -9 a worker on PostgreSQL, RabbitMQ and S3, at a sample of its failpoints; another one finishes.

The nodes are forked as in the embedded matrix, on the real servers; the second has the same name, because
the service's directory is on that host.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from domain.operation import TERMINAL, State
from storage.sealing import KeyRing
from tests.chaos.victim import Death, run_node
from tests.chaos.world import SOURCE, TENANT, command, settings_of
from tests.fakes.trees import digest, grow
from workers.bootstrap import System
from workers.border import Publisher
from workers.config import Settings

#: One point for each kind of effect on the path: before the commit that accepts, after it, in the work,
#: between manifest and commit, around the swap, around the event.
SAMPLE = (
    "ingress.before-accept",
    "ingress.after-accept",
    "claim.after-commit",
    "object.after-put",
    "archive.after-publish",
    "settle.before-commit",
    "settle.after-commit",
    "trees.before-swap",
    "trees.after-swap",
    "relay.after-publish",
)


@pytest.fixture
def settings(tmp_path: Path, fresh_postgres_url: str, border_url: str, store_url: str) -> Settings:
    made = settings_of(
        tmp_path / "data",
        DATABASE_URL=fresh_postgres_url,
        BROKER_URL=border_url,
        BACKSTAY_STORE_URL=store_url,
        BACKSTAY_SECRET_KEYS=KeyRing.generate_text(),
    )
    system = System(made)
    system.database.migrate()
    system.close()
    return made


def ended(system: System, message_ids: list[str]) -> bool:
    found = [system.database.find_by_message(SOURCE, message_id) for message_id in message_ids]
    over = all(operation is not None and operation.state in TERMINAL for operation in found)
    return over and system.database.outbox.waiting()[0] == 0


@pytest.mark.parametrize("border_url", ["amqp"], indirect=True)
@pytest.mark.parametrize("store_url", ["s3-rgw"], indirect=True)
def test_a_killed_worker_s_operation_is_finished_by_the_next_on_real_servers(
    settings: Settings, tmp_path: Path
) -> None:
    """I1, I2, I5, I13, I15 on PostgreSQL, RabbitMQ and Ceph."""
    publisher = Publisher(settings.broker_url)
    for number, point in enumerate(SAMPLE):
        service = f"shop-{number}"
        tree = Path(settings.apps_root) / service
        grow(tree, seed=number, files=10)
        before = digest(tree)
        names = [f"{kind}-{number}" for kind in ("register", "create", "restore")]

        def publish(kind: str, message_id: str, data: dict[str, object], service: str = service) -> None:
            publisher.command(command(kind, message_id, data) | {"subject": f"tenant/{TENANT}/service/{service}"})

        publish("register-service", names[0], {})
        publish("create-snapshot", names[1], {})
        on_the_way = Death(point, 1) if "swap" not in point else None
        end = run_node(settings, partial(ended, message_ids=names[:2]), tmp_path / "trace", on_the_way)
        assert end.killed is (on_the_way is not None), f"{point} was not reached"
        run_node(settings, partial(ended, message_ids=names[:2]), tmp_path / "trace")
        system = System(settings)
        made = system.database.find_by_message(SOURCE, names[1])
        assert made is not None and made.state is State.SUCCEEDED, made
        grow(tree, seed=100 + number, files=3)
        publish("restore-snapshot", names[2], {"snapshot_id": made.op_id})
        if "swap" in point:
            run_node(settings, partial(ended, message_ids=names), tmp_path / "trace", Death(point, 1))
        end = run_node(settings, partial(ended, message_ids=names), tmp_path / "trace")
        assert end.exit_code == 0, f"after {point} the second worker did not finish"
        restored = system.database.find_by_message(SOURCE, names[2])
        assert restored is not None and restored.state is State.SUCCEEDED, restored
        assert digest(tree) == before, f"after {point} the tree is not the snapshot's"
        assert sorted(os.listdir(settings.apps_root)) == [".backstay", *(f"shop-{n}" for n in range(number + 1))]
        system.close()
    publisher.close()
