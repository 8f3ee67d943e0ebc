"""The ports: what handlers and the executor need from SQL, the store and the file system.

Each promise is written here once; the contract suites in `tests/contract` hold every implementation to
it. Nothing here is thread-bound unless it says so: all implementations may be shared between threads.
"""

from __future__ import annotations

from domain.contracts.access import Token, Tokens
from domain.contracts.auditing import Audit
from domain.contracts.clock import Clock
from domain.contracts.copies import Copied, Copies, Owed
from domain.contracts.cron import Calendar
from domain.contracts.history import History, Pruned
from domain.contracts.intake import Accepted, Inbox, Receipt, Rejected
from domain.contracts.ledger import Claim, Ledger
from domain.contracts.places import Places
from domain.contracts.replaying import LetterQuestions, Replays
from domain.contracts.rows import Catalogue, Garbage, Services, UpgradeRecords, Versions
from domain.contracts.scheduling import Drills, Leader, RecoveryPoints, Schedules, Turn
from domain.contracts.sources import Fill, Hooks, Source, Sources
from domain.contracts.storing import Archive, Buffer, ObjectInfo, ObjectStore, SnapshotRequest, Trees
from domain.contracts.telling import DeadLetter, DeadLetters, Event, Moves, Nodes, Outbox, Wake
from domain.contracts.watch import Watch
from domain.node import NodeSeen

__all__ = [
    "Accepted",
    "Archive",
    "Audit",
    "Buffer",
    "Calendar",
    "Catalogue",
    "Claim",
    "Clock",
    "Copied",
    "Copies",
    "DeadLetter",
    "DeadLetters",
    "Drills",
    "Event",
    "Fill",
    "Garbage",
    "History",
    "Hooks",
    "Inbox",
    "Leader",
    "Ledger",
    "LetterQuestions",
    "Moves",
    "NodeSeen",
    "Nodes",
    "ObjectInfo",
    "ObjectStore",
    "Outbox",
    "Owed",
    "Places",
    "Pruned",
    "Receipt",
    "RecoveryPoints",
    "Rejected",
    "Replays",
    "Schedules",
    "Services",
    "SnapshotRequest",
    "Source",
    "Sources",
    "Token",
    "Tokens",
    "Trees",
    "Turn",
    "UpgradeRecords",
    "Versions",
    "Wake",
    "Watch",
]
