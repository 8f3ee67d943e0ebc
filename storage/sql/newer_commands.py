"""What has been asked of a service since a letter was written, as far as its verdict can rest on it.

Apart from letter_questions.py because of its bounds: many letters of a busy service have each all of its history
behind them. The commands of a service are read once, newest first and as a stream; of those that are alike in what
counts only the newest is kept, because it is the first that a verdict meets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, false, or_, select

from domain.letters import Newer, in_effect, may_supersede
from domain.operation import State
from storage.sql.tables import operation

#: Services in one statement, and rows that are fetched at once.
BATCH = 500

_Key = TypeVar("_Key")


@dataclass(slots=True)
class Alike:
    """Commands of one service and state that are of one kind, or ask for one thing."""

    op_id: str  # of the newest
    kind: str
    state: State
    request_hash: str
    seq: int  # the highest
    created_at: int  # the latest: a clock may have gone back


@dataclass(frozen=True, slots=True)
class After:
    """Since when a letter wants to know: behind its operation, or for a message that never became one since a time."""

    service_id: str
    seq: int | None
    created_at: int

    def includes(self, one: Alike) -> bool:
        """Whether any of them came later."""
        return one.seq > self.seq if self.seq is not None else one.created_at >= self.created_at


class NewerCommands:
    """What is kept of the services of some letters. `asked`: the hashes of what the letters ask for."""

    def __init__(self, connection: Connection, letters: Sequence[After], asked: Collection[str]) -> None:
        self._asked = frozenset(asked)
        #: By service: of each kind and state; by service and hash: of each state.
        self._kinds: defaultdict[str, dict[tuple[str, State], Alike]] = defaultdict(dict)
        self._same: defaultdict[tuple[str, str], dict[State, Alike]] = defaultdict(dict)
        for row in _commands(connection, letters):
            self._keep(row)

    def after(self, letter: After, asks: str | None) -> list[Newer]:
        """Those that a verdict on the letter can rest on, newest first; `asks` is the hash of what it asks for."""
        kept = [*self._kinds.get(letter.service_id, {}).values()]
        kept += self._same.get((letter.service_id, asks or ""), {}).values()
        later = {one.op_id: one for one in kept if letter.includes(one)}
        newest_first = sorted(later.values(), key=lambda one: one.seq, reverse=True)
        return [Newer(one.op_id, one.kind, one.state, same=one.request_hash == asks) for one in newest_first]

    def _keep(self, row: Row[Any]) -> None:
        state = State(row.state)
        if may_supersede(row.kind, state):
            _note(self._kinds[row.service_id], (row.kind, state), row)
        if in_effect(state) and row.request_hash in self._asked:
            _note(self._same[row.service_id, row.request_hash], state, row)


def _note(kept: dict[_Key, Alike], key: _Key, row: Row[Any]) -> None:
    """The newest comes first and stays; a later time is taken over."""
    known = kept.get(key)
    if known is None:
        state = State(row.state)
        kept[key] = Alike(row.op_id, row.kind, state, row.request_hash, row.seq, row.created_at)
    else:
        known.created_at = max(known.created_at, row.created_at)


def _commands(connection: Connection, letters: Sequence[After]) -> Iterator[Row[Any]]:
    """Of the services of these letters what is newer than the oldest of them, newest first."""
    services = sorted({letter.service_id for letter in letters} - {""})
    since: list[ColumnElement[bool]] = []
    if seqs := [letter.seq for letter in letters if letter.seq is not None]:
        since.append(operation.c.seq > min(seqs))
    if times := [letter.created_at for letter in letters if letter.seq is None]:
        since.append(operation.c.created_at >= min(times))
    found = select(
        operation.c.op_id,
        operation.c.service_id,
        operation.c.kind,
        operation.c.state,
        operation.c.request_hash,
        operation.c.seq,
        operation.c.created_at,
    ).where(or_(false(), *since))
    for start in range(0, len(services), BATCH):
        some = found.where(operation.c.service_id.in_(services[start : start + BATCH]))
        newest_first = some.order_by(operation.c.seq.desc()).execution_options(yield_per=BATCH)
        rows: Iterable[Row[Any]] = connection.execute(newest_first)
        yield from rows
