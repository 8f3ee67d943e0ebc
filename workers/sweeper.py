"""What somebody must do now and then, on any node: every duty is idempotent, so nobody is elected.

Correctness never waits for it: expired leases are claimable by themselves. It tells that the node is
alive, frees leases of processes that died on this host, and removes what interrupted work left. What others and people
wait for has threads of its own: removing may take hours, and a node that is silent for a minute is called away.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from domain.contracts import Archive, Catalogue, Clock, History, Ledger, Nodes, ObjectStore, Pruned, Trees
from domain.errors import BackstayError
from domain.node import NodeReport
from domain.operation import TERMINAL
from workers.collecting import Collecting
from workers.daily import Daily
from workers.metrics import Metrics
from workers.owner import Owner
from workers.replaying import Replaying
from workers.rounds import Duty, Rounds

log = structlog.get_logger("sweeper")

#: Seconds between beats; a node not seen for several of them is shown as away.
BEAT_SECONDS = 5.0
#: Seconds between looks for commands that nobody has started before their deadline.
EXPIRE_SECONDS = 15.0
#: Seconds between looks for garbage and left-over trees.
TIDY_SECONDS = 60.0
#: Seconds between looks for unfinished uploads, and the age at which one certainly has no owner.
UPLOADS_SECONDS = 3600.0
UPLOAD_AGE_SECONDS = 86_400
#: Seconds between looks for operations that are old enough to be forgotten, how many go in one transaction,
#: and how many such there are in one go, so that other duties have their turn.
HISTORY_SECONDS = 3600.0
HISTORY_BATCH, HISTORY_BATCHES = 500, 200

DAY_MS = 86_400_000
#: Seconds between looks whether a new day has begun.
DAILY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Duties:
    """The ports that sweeping needs."""

    ledger: Ledger
    catalogue: Catalogue
    nodes: Nodes
    archive: Archive
    trees: Trees
    store: ObjectStore
    daily: Daily
    replaying: Replaying
    history: History
    history_days: int | None = None


class Sweeper:
    """Three threads of one process. `start()`, `stop()`; each duty fails alone and is tried again."""

    def __init__(
        self,
        duties: Duties,
        owner: Owner,
        clock: Clock,
        version: str,
        wake: Callable[[], None],
        metrics: Metrics,
        report: Callable[[], NodeReport] = NodeReport,
    ) -> None:
        """`wake` says that there may be new work; `report` is what the node says of itself with each beat."""
        self._duties, self._owner, self._version, self._wake = duties, owner, version, wake
        self._metrics, self._report, self._drained = metrics, report, False
        self._stopping = threading.Event()
        self._collecting = Collecting(duties.catalogue, duties.archive, clock)
        self._pulse = Rounds("pulse", self._short(), BEAT_SECONDS, clock, metrics)
        replays = (Duty("replays", 0.0, self._carry_on_replays),)  # people wait for them
        self._replaying = Rounds("replays", replays, BEAT_SECONDS, clock, metrics)
        self._tidying = Rounds("sweeper", self._long(), BEAT_SECONDS, clock, metrics)

    def _short(self) -> tuple[Duty, ...]:
        """What others wait for: one statement or two each."""
        return (
            Duty("beat", 0.0, self._beat),
            Duty("release-dead", 0.0, self._release_dead),
            Duty("expire", EXPIRE_SECONDS, self._expire),
        )

    def _long(self) -> tuple[Duty, ...]:
        """What lasts for as long as there is something left."""
        return (
            Duty("garbage", TIDY_SECONDS, self.collect_garbage),
            Duty("staging", TIDY_SECONDS, self.discard_staging),
            Duty("daily", DAILY_SECONDS, self._ask_for_daily_work),
            Duty("uploads", UPLOADS_SECONDS, self._sweep_uploads),
            Duty("history", HISTORY_SECONDS, self._prune_history),
        )

    def start(self) -> None:
        """Begin; the first round runs at once, so a restarted node frees its predecessor's leases."""
        for rounds in (self._pulse, self._replaying, self._tidying):
            rounds.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End after the duties in hand."""
        self._stopping.set()
        for rounds in (self._tidying, self._replaying):
            rounds.ask_to_stop()
        for rounds in (self._pulse, self._replaying, self._tidying):
            rounds.stop(timeout)

    def round(self) -> None:
        """Do whatever is due."""
        for rounds in (self._pulse, self._replaying, self._tidying):
            rounds.round()

    def _beat(self) -> None:
        drained = self._duties.nodes.beat(self._owner.node, self._owner.boot_id, self._version, self._report())
        if drained and not self._drained:
            log.warning("node.drained")
        elif self._drained and not drained:
            log.warning("node.undrained")
        self._drained = drained

    def _release_dead(self) -> None:
        freed = self._duties.ledger.release_dead(self._owner.is_dead)
        if freed:
            log.warning("sweep.released-leases-of-dead-processes", operations=freed)
            self._metrics.count("takeovers", freed, why="holder-dead")
            self._wake()

    def _carry_on_replays(self) -> None:
        made = self._duties.replaying.carry_on_all()
        if made:
            log.info("sweep.dead-letters-replayed", operations=made)
            self._wake()

    def _expire(self) -> None:
        expired = self._duties.ledger.expire()
        if expired:
            log.warning("sweep.deadlines-passed", operations=expired)

    def collect_garbage(self) -> int:
        """Remove objects that no snapshot needs; how many rows were finished."""
        self._duties.catalogue.expire_exports()
        done = self._collecting.collect(self._stopping)
        if done:
            log.info("sweep.garbage-removed", rows=done)
        return done

    def discard_staging(self) -> int:
        """Remove trees that ended operations left beside the live ones; how many. Raises, at the end, why the first
        that stays could not."""
        done, trouble = 0, list[Exception]()
        for op_id in self._duties.trees.staged_operations():
            if self._stopping.is_set():
                break
            # An unknown id may be a restore of another database that shares this apps root: not ours.
            if self._duties.ledger.state(op_id) not in TERMINAL:
                continue
            try:
                self._duties.trees.discard(op_id)
                done += 1
            except (BackstayError, OSError) as error:
                log.warning("sweep.tree-stays", operation=op_id, detail=str(error))
                trouble.append(error)
        if trouble:
            raise trouble[0]
        return done

    def _ask_for_daily_work(self) -> None:
        asked = self._duties.daily.ask()
        if asked:
            log.info("sweep.daily-work-asked-for", commands=asked)

    def _sweep_uploads(self) -> None:
        removed = self._duties.store.sweep(UPLOAD_AGE_SECONDS)
        if removed:
            log.info("sweep.unfinished-uploads-removed", uploads=removed)

    def _prune_history(self) -> None:
        if self._duties.history_days is None:
            return
        keep_ms, total = self._duties.history_days * DAY_MS, Pruned()
        for prune in (self._duties.history.prune, self._duties.history.prune_events):
            for _ in range(HISTORY_BATCHES):
                if self._stopping.is_set():
                    break
                total += prune(keep_ms, HISTORY_BATCH, after=total.after)
                if not total.after:
                    break
            total += Pruned()  # the next one begins at its first row
        if total.operations or total.events:
            log.info("sweep.history-pruned", operations=total.operations, steps=total.steps, events=total.events)
