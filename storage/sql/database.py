"""One open database: the ports over it, and what only whoever runs the process needs.

Apart from the ports because it alone knows how they are put together. Opening connects to nothing; each
call raises DatabaseUnavailable while the database does not answer, and no error of SQLAlchemy or of a
driver leaves this package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import text

from domain.chronicle import Told
from domain.contracts import DeadLetter, Wake
from domain.operation import Operation, State
from domain.service import Service
from storage.sql import fairlock, migrate
from storage.sql.audit import SqlAudit
from storage.sql.catalogue import SqlCatalogue
from storage.sql.copies import SqlCopies
from storage.sql.dead_letters import SqlDeadLetters
from storage.sql.drills import SqlDrills
from storage.sql.engine import IDLE_MS, open_engine, parse_url
from storage.sql.figures import figures
from storage.sql.history import SqlHistory
from storage.sql.inbox import SqlInbox
from storage.sql.ledger import SqlLedger
from storage.sql.letter_questions import LetterQuestions
from storage.sql.moving import SqlMoves
from storage.sql.nodes import SqlNodes
from storage.sql.outbox import SqlOutbox
from storage.sql.questions import Questions
from storage.sql.recovery_points import SqlRecoveryPoints
from storage.sql.replays import SqlReplays
from storage.sql.rewrap import Rewrapping
from storage.sql.schedules import SqlSchedules
from storage.sql.sealed import Sealer, Vault
from storage.sql.services import SqlServices
from storage.sql.tokens import SqlTokens
from storage.sql.transactions import Transactions, translated
from storage.sql.versions import SqlUpgradeRecords, SqlVersions
from storage.sql.wake import Bell, PostgresWake, SqliteWake


class Database:
    """All ports over one database. May be shared between threads, not between processes."""

    def __init__(
        self,
        url: str,
        sealer: Sealer,
        clock_ms: Callable[[], int] | None,
        readers_ms: int = 0,
        rolled_back_letters: bool = False,
        idle_ms: int = IDLE_MS,
    ) -> None:
        self._engine, self._fair = open_engine(parse_url(url), idle_ms)
        self._tx = Transactions(self._engine, self._fair, clock_ms, readers_ms)
        vault = Vault(sealer)
        self._bell = Bell()
        self._questions = Questions(self._tx)
        self._rewrapping = Rewrapping(self._tx, sealer)
        self.inbox = SqlInbox(self._tx, vault)
        self.ledger = SqlLedger(self._tx, vault, rolled_back_letters=rolled_back_letters)
        self.services = SqlServices(self._tx, vault)
        self.catalogue = SqlCatalogue(self._tx)
        self.copies = SqlCopies(self._tx)
        self.history = SqlHistory(self._tx)
        self.outbox = SqlOutbox(self._tx)
        self.dead_letters = SqlDeadLetters(self._tx, vault)
        self.nodes = SqlNodes(self._tx)
        self.tokens = SqlTokens(self._tx)
        self.moves = SqlMoves(self._tx, vault, self.nodes)
        self.audit = SqlAudit(self._tx)
        self.letter_questions = LetterQuestions(self._tx)
        self.replays = SqlReplays(self._tx)
        self.versions = SqlVersions(self._tx, vault)
        self.records = SqlUpgradeRecords(self._tx)
        self.schedules = SqlSchedules(self._tx, self.inbox)
        self.recovery_points = SqlRecoveryPoints(self._tx)
        self.drills = SqlDrills(self._tx)

    def migrate(self) -> None:
        """Bring the schema to this program's revision; safe when several nodes do it at once."""
        migrate.migrate(self._tx)

    def check_schema(self) -> str | None:
        """None when the schema is this program's; else a sentence with the next step."""
        return migrate.check_schema(self._tx)

    def schema(self) -> str:
        """Which schema the database has, beside the one that this program was written for."""
        return migrate.described(self._tx)

    def durability_off(self) -> list[str]:
        """Settings of the server without which a commit may be lost again, as far as they are off."""
        if not self._tx.postgresql:
            return []  # SQLite's are ours, on every connection
        wanted = text("SELECT name FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit') AND setting = 'off'")
        with self._tx.read() as connection:
            return sorted(connection.scalars(wanted))

    def now_ms(self) -> int:
        """What its clock says, in UTC milliseconds; DatabaseUnavailable if it does not answer."""
        with self._tx.read() as connection:
            return self._tx.now(connection)

    def wake(self) -> Wake:
        """A new wait for work; close it after use. A `set` on any wakes all of this process."""
        with translated():
            kind = PostgresWake if self._tx.postgresql else SqliteWake
            return kind(self._engine, self._bell)

    def round_trip(self) -> None:
        """Ask the database for something; DatabaseUnavailable if it does not answer, or if this process has not
        been able to write for a while."""
        with self._tx.read() as connection:
            connection.execute(text("SELECT 1"))
        self._tx.check_writes()

    def take_turn(self) -> None:
        """Wait for a short time for what writers queue for; DatabaseUnavailable says who keeps it."""
        if self._fair is not None:
            with self._fair.held(fairlock.LOOK_SECONDS):
                pass

    def counts(self) -> dict[str, Any]:
        """Figures for metrics: operations {(kind, state): n}, ready, oldest_queued_age, dead_letters,
        outbox_waiting, outbox_oldest_age; ages in milliseconds."""
        return self._questions.counts()

    def figures(self, most_services: int, replicas: Sequence[str] = ()) -> dict[str, Any]:
        """`counts`, and what else metrics tell; of services only so many, those with the oldest data. `replicas` are
        those that garbage may have to wait for."""
        return self._questions.counts() | figures(self._tx, most_services, replicas)

    def list_operations(
        self,
        *,
        tenant_id: str | None = None,
        service_id: str | None = None,
        states: Sequence[State] = (),
        kinds: Sequence[str] = (),
        limit: int = 50,
        before: str | None = None,
    ) -> list[Operation]:
        """Newest first, with empty `data`; `before` is the id of the last operation already seen."""
        return self._questions.list_operations(
            tenant_id=tenant_id, service_id=service_id, states=states, kinds=kinds, limit=limit, before=before
        )

    def find_by_message(self, source: str, message_id: str) -> Operation | None:
        """The operation that a message became, with empty `data`."""
        return self._questions.find_by_message(source, message_id)

    def find_dead_letters(self, source: str, message_id: str) -> list[DeadLetter]:
        """Dead letters about messages with that key, newest first, without raw bytes."""
        return self.dead_letters.about(source, message_id)

    def told(self, op_id: str) -> list[Told]:
        """The events about an operation, oldest first."""
        return self._questions.told(op_id)

    def waits_for(self, operation: Operation) -> str:
        """One sentence: what has to happen before the operation goes on."""
        return self._questions.waits_for(operation.op_id)

    def operations_of_node(self, node: str, limit: int = 50) -> list[Operation]:
        """Unfinished ones that only this node can do, or that it holds; oldest first, with empty `data`."""
        return self._questions.of_node(node, limit)

    def list_services(self, tenant_id: str | None = None) -> list[Service]:
        """Services by id, with empty documents."""
        return self.services.list(tenant_id)

    def sealed_values(self, heads: Mapping[str, bytes]) -> tuple[dict[str, int], int]:
        """How many values are sealed with each key (`heads`: what its values begin with), and with none of them."""
        return self._rewrapping.count(heads)

    def rewrap(self, head: bytes) -> tuple[int, int]:
        """Seal every value anew that does not begin with `head`, as those of the sealer's current key do; how many
        were, and how many did not open and stay. Safe beside working nodes; repeating it goes on where it was."""
        return self._rewrapping.run(head)

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._engine.dispose()
        if self._fair is not None:
            self._fair.close()


def open_database(
    url: str,
    sealer: Sealer,
    *,
    clock_ms: Callable[[], int] | None = None,
    readers_ms: int = 0,
    rolled_back_letters: bool = False,
    idle_ms: int = IDLE_MS,
) -> Database:
    """Open `sqlite:////absolute/path.db` or `postgresql://…`; Refused if the URL cannot keep our promises.

    `sealer` encrypts the secret columns. `clock_ms`, UTC milliseconds, replaces the database's clock in
    tests and simulation. Objects of a deleted snapshot become collectable `readers_ms` milliseconds later.
    With `rolled_back_letters` what was ROLLED_BACK becomes a dead letter too. PostgreSQL lets a transaction wait for
    `idle_ms` milliseconds, at most 30 seconds, for a process that says nothing.
    Connects to nothing yet.
    """
    return Database(url, sealer, clock_ms, readers_ms, rolled_back_letters, idle_ms)
