"""Dead letters again: what replaying would do, replaying one or many, and what a person has edited.

Apart from the command line because the API, the console and the sweeper of every node use it too. A replay of many
is a row: `carry_on` does what is due, on whichever node comes first, and repeating it changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from domain.audit import Actor
from domain.contracts import Accepted, DeadLetter, Rejected
from domain.errors import Damaged, InvalidMessage, NotFound, Refused
from domain.letters import INSISTABLE, Advice, LetterFilter, Verdict, advise, canaries_first
from domain.message import Envelope
from domain.replay import MOST_LETTERS, Replay, ReplayItem
from workers.command_event import cloud_event

if TYPE_CHECKING:
    from workers.bootstrap import Database

Judge = Callable[[Envelope], Accepted | Rejected]


class Replaying:
    """What is done with dead letters. May be shared between threads."""

    def __init__(self, database: Database, judge: Judge, kinds: Collection[str]) -> None:
        """`kinds`: the message types that this program understands."""
        self._database, self._judge, self._kinds = database, judge, kinds

    def find(self, dead_letter_id: str) -> DeadLetter:
        """The letter, opened; NotFound if there is none."""
        letter = self._database.dead_letters.get(dead_letter_id)
        if letter is None:
            raise NotFound(
                f"dead letter {dead_letter_id} does not exist",
                code="unknown-dead-letter",
                next_step="`backstay dead-letters list --all` shows them",
            )
        return letter

    def plan(self, dead_letter_ids: Sequence[str]) -> list[Advice]:
        """What replaying each would do now; resolved ones are left out."""
        questions = self._database.letter_questions
        hashes: dict[str, str] = {}
        refusals: dict[str, str] = {}
        known = questions.facts(dead_letter_ids, {})
        for facts in known:
            if facts.op_id is None:
                verdict = self._judged(self.find(facts.dead_letter_id))
                if isinstance(verdict, Rejected):
                    refusals[facts.dead_letter_id] = verdict.sentence
                else:
                    hashes[facts.dead_letter_id] = verdict.request_hash
            elif facts.kind not in self._kinds:
                refusals[facts.dead_letter_id] = f"this program knows no message type {facts.kind}"
        if hashes:
            known = questions.facts(dead_letter_ids, hashes)
        return [advise(facts, refusals.get(facts.dead_letter_id, "")) for facts in known]

    def replay(self, letter: DeadLetter, by: Actor, part_of: tuple[str, int] | None = None) -> str | None:
        """The id of the new operation; None when the letter was resolved before. Raw messages are judged again."""
        letters = self._database.dead_letters
        if letter.op_id is not None:
            return letters.replay_operation(letter.dead_letter_id, by, part_of)
        verdict = self._judged(letter)
        if isinstance(verdict, Rejected):
            raise InvalidMessage(f"the message still cannot be accepted: {verdict.sentence}", code=verdict.reason)
        return letters.replay_message(letter.dead_letter_id, by, verdict, part_of)

    def replay_if(self, letter: DeadLetter, by: Actor, include: Collection[Verdict] = ()) -> str | None:
        """As `replay`, but Refused when the plan says that it does more than what was asked for, unless that verdict
        is among `include`."""
        for advice in self.plan([letter.dead_letter_id]):
            if advice.verdict in INSISTABLE and advice.verdict not in include:
                raise Refused(
                    f"dead letter {letter.dead_letter_id} is {advice.verdict}: {advice.why}",
                    code="not-safe",
                    next_step=f"discard it, or insist: name {advice.verdict} in `include` (--include {advice.verdict})",
                )
        return self.replay(letter, by)

    def matching(self, wanted: LetterFilter) -> list[str]:
        """Ids of unresolved letters, oldest first; Refused when they are too many for one list."""
        found = self._database.letter_questions.candidates(wanted, MOST_LETTERS + 1)
        if len(found) > MOST_LETTERS:
            raise Refused(f"more than {MOST_LETTERS} letters match", code="too-many", next_step="narrow the filter")
        return [letter.dead_letter_id for letter in found]

    def choose(
        self, wanted: LetterFilter, include: Collection[Verdict] = (), dead_letter_ids: Sequence[str] = ()
    ) -> tuple[list[str], list[Advice]]:
        """The letters that are to be replayed, oldest first, and the advice on every one that was looked at.
        Without ids those that match the filter."""
        chosen = list(dict.fromkeys(dead_letter_ids)) or self.matching(wanted)
        advice = self.plan(chosen)
        allowed = {Verdict.SAFE} | (set(include) & set(INSISTABLE))
        return [one.dead_letter_id for one in advice if one.verdict in allowed], advice

    def begin(
        self, by: Actor, dead_letter_ids: Sequence[str], *, canary: int, per_minute: int, reason: str, chosen_by: Any
    ) -> Replay:
        """Freeze the list, canaries first. Nothing is replayed before `carry_on`, which every node does too."""
        known = self._database.letter_questions.candidates(LetterFilter(), MOST_LETTERS, dead_letter_ids)
        return self._database.replays.create(
            by,
            canaries_first(known, canary),
            canary=canary,
            per_minute=per_minute,
            reason=reason,
            selection=chosen_by,
        )

    def carry_on(self, replay_id: str) -> int:
        """Replay what is due; how many became operations."""
        replays = self._database.replays
        found = replays.get(replay_id)
        made = 0
        while found is not None and (due := replays.due(replay_id)):
            turns = [self._take(found, item) for item in due]
            made += sum(turn == "made" for turn in turns)
            if "stopped" in turns:
                break
        return made

    def carry_on_all(self) -> int:
        """The same for every replay that is under way."""
        return sum(self.carry_on(replay_id) for replay_id in self._database.replays.running())

    def _take(self, found: Replay, item: ReplayItem) -> str:
        replays = self._database.replays
        try:
            letter = self.find(item.dead_letter_id)
            if self.replay(letter, Actor(found.actor, found.way), (found.replay_id, item.ordinal)) is not None:
                return "made"
        except (Refused, Damaged) as error:
            if error.code == "replay-stopped":
                return "stopped"
            replays.skip(found.replay_id, item.ordinal, str(error))
            return "skipped"
        letter = self.find(item.dead_letter_id)
        replays.skip(found.replay_id, item.ordinal, f"it had been {letter.resolution} by {letter.resolved_by}")
        return "skipped"

    def editable(self, letter: DeadLetter) -> str:
        """What a person edits: the data of a command that was accepted, or the body of a message that was not. It may
        hold secrets."""
        if letter.op_id is None:
            return (letter.raw or b"").decode("utf-8", "backslashreplace")
        return json.dumps(self._database.dead_letters.payload(letter.op_id), indent=2, ensure_ascii=False) + "\n"

    def command(self, letter: DeadLetter) -> tuple[str, dict[str, Any]] | None:
        """Type and data of what replaying it would run; None when its message cannot be accepted now either."""
        if letter.op_id is not None:
            return letter.kind or "", self._database.dead_letters.payload(letter.op_id)
        verdict = self._judged(letter)
        return None if isinstance(verdict, Rejected) else (verdict.command.kind, verdict.command.data)

    def edited(self, letter: DeadLetter, text: str) -> Accepted:
        """The command that the edited text is; InvalidMessage, naming the field, when it is none."""
        body = text.encode("utf-8", "surrogateescape")
        if letter.op_id is not None:
            body = self._as_message(letter.op_id, _object(text))
        verdict = self._judge(Envelope(body, {} if letter.op_id else letter.headers))
        if isinstance(verdict, Rejected):
            raise InvalidMessage(verdict.sentence, code=verdict.reason)
        return verdict

    def _as_message(self, op_id: str, data: dict[str, Any]) -> bytes:
        """The failed operation's message with other data. It has no deadline: that would have passed."""
        operation = self._database.ledger.get(op_id)
        assert operation is not None, "an operation with a dead letter is never removed"
        subject = f"tenant/{operation.tenant_id}/service/{operation.service_id}"
        event = cloud_event(operation.kind, subject, data, operation.message_id, operation.source)
        more = {
            "correlationid": operation.correlation_id,
            "replyto": operation.reply_to,
            "traceparent": operation.traceparent,
        }
        return json.dumps(event | {name: value for name, value in more.items() if value is not None}).encode()

    def _judged(self, letter: DeadLetter) -> Accepted | Rejected:
        return self._judge(Envelope(letter.raw or b"", letter.headers))


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "not UTF-8"
        raise InvalidMessage(f"data: is not JSON ({where})", field="data") from None
    if not isinstance(found, dict):
        raise InvalidMessage("data: must be a JSON object", field="data")
    return found
