"""An installation in which both releases work: one directory with database, spool, store and trees, and a node of each.

Apart from the tests because each of them tells a story about it and looks at the rows, which both releases have.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.message import Envelope
from handlers import subscriptions
from tests.chaos import victim
from tests.chaos.victim import Death
from tests.chaos.world import SOURCE, TENANT, encoded, publish, settings_of
from tests.fakes.trees import grow
from tests.releases.previous import Node, Previous
from tests.waiting import eventually
from workers.bootstrap import System
from workers.judge import judge_with

#: Both releases start, work and end within this on a machine that has other things to do.
PATIENCE = 180.0


@dataclass(frozen=True, slots=True)
class Site:
    """`home` is shared; a node is a name in it."""

    home: Path
    previous: Previous

    def environ(self, node: str) -> dict[str, str]:
        """The settings of that node, for either release."""
        return {
            "BACKSTAY_DATA_DIR": str(self.home),
            "BACKSTAY_NODE": node,
            "BACKSTAY_THREADS": "1",
            "BACKSTAY_LOG_LEVEL": "info",
        }

    # ------------------------------------------------------------ the releases
    def older(self, node: str, death: tuple[str, int] | None = None, http: str | None = None) -> Node:
        """Start a node of the previous release."""
        return self.previous.node(self.environ(node), death, http)

    def newer(self, node: str, *messages: str, death: Death | None = None) -> None:
        """Run a node of the present release until these commands have ended and are told, or until it dies."""
        settings = settings_of(self.home, BACKSTAY_NODE=node)
        trace = self.home / f"{node}.trace"
        end = victim.run_node(settings, lambda _: self.over(*messages), trace, death)
        assert end.killed if death else end.exit_code == 0

    def migrate(self) -> None:
        """As `backstay migrate` of the present release does."""
        with closing(System(settings_of(self.home))) as system:
            system.database.migrate()

    # ------------------------------------------------------------ messages
    def register(self, service: str, node: str, **more: Any) -> str:
        """A tree, and the message that registers its service on that node; the message's id."""
        grow(self.home / "apps" / service, seed=len(service), files=5)
        return self.send("register-service", service, f"register-{service}", node=node, **more)

    def send(self, kind: str, service: str, message_id: str, **data: Any) -> str:
        """Publish to the broker, where whoever is faster takes it; the message's id."""
        name = f"{time.monotonic_ns():020}-{message_id}"  # the spool takes what is first by name
        publish(self.home, name, self.message(kind, service, message_id, data))
        return message_id

    def enter(self, kind: str, service: str, message_id: str, **data: Any) -> str:
        """Through the present release's door; what it answers."""
        judged = judge_with(subscriptions())(Envelope(self.message(kind, service, message_id, data)))
        with closing(System(settings_of(self.home))) as system:
            (receipt,) = system.database.inbox.accept([judged])
        return receipt.status

    @staticmethod
    def message(kind: str, service: str, message_id: str, data: dict[str, Any]) -> bytes:
        """One command as CloudEvents JSON."""
        return encoded(
            {
                "specversion": "1.0",
                "id": message_id,
                "source": SOURCE,
                "type": f"backstay.{kind}.v1",
                "subject": f"tenant/{TENANT}/service/{service}",
                "data": data,
            }
        )

    # ------------------------------------------------------------ what has become of them
    def rows(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """Ask the database behind everybody's back."""
        with closing(sqlite3.connect(self.home / "backstay.db", timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(statement, values).fetchall()

    def operation(self, message_id: str) -> dict[str, Any]:
        """The row of an operation by its message, its outcome opened; empty while there is none."""
        for row in self.rows("SELECT * FROM operation WHERE message_id = ?", message_id):
            return dict(row) | {"outcome": json.loads(row["outcome"] or "{}")}
        return {}

    def over(self, *messages: str) -> bool:
        """All of these have succeeded and every event is told. What ends otherwise fails the test at once."""
        states = {message: self.operation(message).get("state") for message in messages}
        wrong = {message: state for message, state in states.items() if state in ("FAILED", "CANCELLED", "STUCK")}
        assert not wrong, [self.operation(message)["outcome"] for message in wrong]
        done = all(state == "SUCCEEDED" for state in states.values())
        return done and not self.rows("SELECT seq FROM outbox WHERE sent_at IS NULL")

    def wait(self, *messages: str) -> None:
        """Until they are over."""
        eventually(lambda: self.over(*messages), PATIENCE, f"{messages} are over")

    def wait_for(self, holds: Callable[[], bool], what: str) -> None:
        """Until it holds."""
        eventually(holds, PATIENCE, what)

    def node_of(self, message_id: str) -> str:
        """The node that had it last."""
        return str(self.operation(message_id)["owner"]).partition("|")[0]

    def snapshot(self, message_id: str) -> str:
        """The id of the snapshot that a message has made: its operation's."""
        return str(self.operation(message_id)["op_id"])
