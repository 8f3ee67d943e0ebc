"""The JSON forms of dead letters, their causes, plans and replays, as every way of asking shows them.

Apart from the command line's other documents because they need the ports: a letter is shown with its operation, its
journal and what replaying it would do.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from domain.contracts import DeadLetter
from domain.explain import story
from domain.letters import Advice, LetterGroup, Verdict
from domain.operation import State
from domain.replay import ItemState, Replay, ReplayItem
from workers.cli.documents import ENDED, letter_document, moment, operation_document

if TYPE_CHECKING:
    from workers.bootstrap import Database
    from workers.replaying import Replaying


def group_document(group: LetterGroup) -> dict[str, Any]:
    """Unresolved letters with the same cause."""
    return {
        "fingerprint": group.fingerprint,
        "kind": group.kind,
        "reason": group.reason,
        "letters": group.letters,
        "services": group.services,
        "seen": group.seen,
        "first_at": moment(group.first_at),
        "last_at": moment(group.last_at),
        "sentence": group.sentence,
        "newest_id": group.newest_id,
    }


def whole_document(database: Database, replaying: Replaying, letter: DeadLetter) -> dict[str, Any]:
    """Everything about a letter but its message."""
    operation = None if letter.op_id is None else database.ledger.get(letter.op_id)
    steps = [] if letter.op_id is None else database.ledger.steps(letter.op_id)
    advice = next(iter(replaying.plan([letter.dead_letter_id])), None)
    return letter_document(letter) | {
        "raw_bytes": None if letter.raw is None else len(letter.raw),
        "header_names": sorted(letter.headers),
        "traceback": letter.traceback or None,
        "replay_of": operation.causation_id if operation else None,
        "operation": None if operation is None else operation_document(operation, None),
        "steps": [line.document() for line in story(steps)],
        "advice": None if advice is None else {"verdict": advice.verdict.value, "why": advice.why},
    }


def message_document(replaying: Replaying, letter: DeadLetter) -> dict[str, Any]:
    """The message itself, with whatever is secret in it: only for who may see that."""
    if letter.op_id is not None:
        return {"text": replaying.editable(letter), "base64": None, "headers": {}}
    body = letter.raw or b""
    try:
        return {"text": body.decode("utf-8"), "base64": None, "headers": letter.headers}
    except UnicodeDecodeError:
        return {"text": None, "base64": base64.b64encode(body).decode("ascii"), "headers": letter.headers}


def advice_documents(advice: Iterable[Advice]) -> list[dict[str, str]]:
    """What replaying each of several letters would do."""
    return [{"dead_letter_id": a.dead_letter_id, "verdict": a.verdict.value, "why": a.why} for a in advice]


def plan_document(advice: Sequence[Advice]) -> dict[str, Any]:
    """The same, with how many there are of each verdict."""
    counts = Counter(one.verdict.value for one in advice)
    verdicts = {verdict.value: counts[verdict.value] for verdict in Verdict}
    return {"letters": advice_documents(advice), "verdicts": verdicts}


def replay_document(replay: Replay, items: Sequence[ReplayItem]) -> dict[str, Any]:
    """A replay of many letters, and how far it is."""
    states = Counter(item.state for item in items)
    ends = Counter(item.op_state for item in items if item.op_state is not None)
    going = sum(count for state, count in ends.items() if state not in ENDED)
    return {
        "replay_id": replay.replay_id,
        "state": replay.state.value,
        "why": replay.why or None,
        "actor": replay.actor,
        "way": replay.way,
        "reason": replay.reason or None,
        "canary": replay.canary,
        "per_minute": replay.per_minute,
        "created_at": moment(replay.created_at),
        "ended_at": moment(replay.ended_at),
        "letters": len(items),
        "waiting": states[ItemState.WAITING],
        "skipped": states[ItemState.SKIPPED],
        "going_on": going,
        "succeeded": ends[State.SUCCEEDED],
        "not_succeeded": sum(ends.values()) - going - ends[State.SUCCEEDED],
    }


def replay_item_document(item: ReplayItem) -> dict[str, Any]:
    """One letter of a replay of many."""
    return {
        "dead_letter_id": item.dead_letter_id,
        "state": item.state.value,
        "why": item.why or None,
        "operation_id": item.op_id,
        "operation_state": None if item.op_state is None else item.op_state.value,
    }
