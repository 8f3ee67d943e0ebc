"""A small platform for acceptance tests: real nodes, a spool, a database, a store, and services with trees.

Nodes run in this process, as threads, each with its own apps root; everything else is shared, as on a
real platform. Commands go in as published messages and come out as outcomes.
"""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

from domain.operation import TERMINAL, Budget, Operation, State
from domain.snapshot import Label, Snapshot
from tests.fakes.trees import digest, grow
from tests.waiting import eventually
from workers.bootstrap import System
from workers.border import Publisher
from workers.config import load
from workers.runtime import NodeProcess

SOURCE = "/acceptance"
_numbers = itertools.count(1)


class Platform:
    """Everything is beneath `home`. `close()` stops what was started."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self._environment = {
            "BACKSTAY_DATA_DIR": str(home),
            "BACKSTAY_LOG_LEVEL": "error",
            "BACKSTAY_READER_GRACE_SECONDS": "0",  # most tests want to see that objects are gone
            **environment,
        }
        self.system = System(load(self._environment | {"BACKSTAY_NODE": "observer"}))
        self.system.database.migrate()
        self.publisher = Publisher(self.system.settings.broker_url)
        self._nodes: dict[str, tuple[NodeProcess, System]] = {}

    # ------------------------------------------------------------ nodes
    def start(self, name: str, budget: Budget | None = None) -> NodeProcess:
        """A worker node of that name, with an apps root of its own."""
        system = System(load(self._environment | {"BACKSTAY_NODE": name, "BACKSTAY_APPS_ROOT": str(self.apps(name))}))
        node = NodeProcess(system, budget=budget)
        node.start()
        self._nodes[name] = (node, system)
        return node

    def stop(self, name: str) -> None:
        """Stop it in good order."""
        node, system = self._nodes.pop(name)
        node.stop(threading.Event())
        system.close()

    def close(self) -> None:
        """Stop everything."""
        for name in list(self._nodes):
            self.stop(name)
        self.publisher.close()
        self.system.close()

    def apps(self, node: str) -> Path:
        """The apps root of a node."""
        return self.home / "nodes" / node

    # ------------------------------------------------------------ messages
    def publish(self, kind: str, data: dict[str, Any], *, service: str, tenant: str = "acme", **attributes: Any) -> str:
        """Publish a command; its message id."""
        event = {
            "specversion": "1.0",
            "id": f"m-{next(_numbers)}",
            "source": SOURCE,
            "type": f"backstay.{kind}.v1",
            "subject": f"tenant/{tenant}/service/{service}",
            "data": data,
        } | attributes
        self.publisher.command(event)
        return str(event["id"])

    def find(self, message_id: str) -> Operation | None:
        """The operation of a message, if it is accepted."""
        return self.system.database.find_by_message(SOURCE, message_id)

    def outcome(self, message_id: str, seconds: float = 180.0) -> Operation:
        """Wait for the operation of a message to end."""

        def ended() -> Operation | None:
            found = self.find(message_id)
            return found if found is not None and found.state in (*TERMINAL, State.STUCK) else None

        found = eventually(ended, seconds=seconds, what=f"{message_id} has ended")
        assert found is not None
        return found

    def run(self, kind: str, data: dict[str, Any], *, service: str, **more: Any) -> Operation:
        """Publish and wait."""
        return self.outcome(self.publish(kind, data, service=service, **more))

    def letter_reason(self, message_id: str) -> str:
        """Wait for the dead letter about a message that was not accepted; its sentence."""
        letters = eventually(
            lambda: self.system.database.find_dead_letters(SOURCE, message_id), what=f"{message_id} is a dead letter"
        )
        return letters[0].sentence

    # ------------------------------------------------------------ services and snapshots
    def service(self, name: str, node: str = "web-1", seed: int = 1, **registration: Any) -> Path:
        """A registered service with a tree; the tree's path."""
        tree = self.apps(node) / name
        grow(tree, seed=seed)
        assert self.run("register-service", {"node": node, **registration}, service=name).state is State.SUCCEEDED
        return tree

    def snapshot(self, service: str, *labels: str, **data: Any) -> Snapshot:
        """Take a snapshot; its row."""
        operation = self.run("create-snapshot", {"labels": list(labels), **data}, service=service)
        assert operation.state is State.SUCCEEDED, operation.outcome
        found = self.system.database.catalogue.get(operation.op_id)
        assert found is not None
        return found

    def listed(self, *services: str, labels: tuple[str, ...] = (), tenant: str | None = None) -> list[str]:
        """Ids of snapshots, newest first."""
        wanted = [Label.parse(label) for label in labels]
        return [s.snapshot_id for s in self.system.database.catalogue.find(tenant, services, wanted, 1000, None)]


def code(operation: Operation) -> tuple[State, str | None]:
    """How it ended and why."""
    return operation.state, operation.error_code


__all__ = ["SOURCE", "Platform", "code", "digest", "grow"]
