"""What running a dead letter again takes of a caller: one decision for the API and for the console.

Apart from access.py, which knows roles and no letters. A letter is not a way around the roles of commands: whoever
runs one, as it was or edited, may give that command in that tenant, and an edited one comes from whom the original
came from, because its source decides whom its outcome is told to be from.
"""

from __future__ import annotations

from collections.abc import Sequence

from domain.contracts import Accepted, DeadLetter
from domain.errors import Damaged, KeyUnavailable, Refused
from domain.letters import LetterFilter
from domain.replay import MOST_LETTERS, ItemState, Replay
from workers.replaying import Replaying
from workers.web import visible
from workers.web.access import COMMANDS, LEAST, Action, Caller, NotAllowed, action_of
from workers.web.desk import Desk

#: What any command takes, whatever its data are.
_ALL = frozenset({*COMMANDS.values(), Action.SNAPSHOTS_PLACE})


def require_replay(work: Replaying, who: Caller, letter: DeadLetter) -> None:
    """NotAllowed unless they may replay it and give what it asks for."""
    tenant = visible.tenant_of(letter)
    who.require(Action.DEAD_LETTERS_REPLAY, tenant)
    asked = work.command(letter)
    if asked is not None:  # else it is refused for its own mistake
        who.require(action_of(*asked), tenant)


def require_replays(work: Replaying, who: Caller, dead_letter_ids: Sequence[str]) -> None:
    """The same for each of many. The letters are opened only for somebody who may not give every command."""
    for dead_letter_id in () if _may_give_all(who) else dead_letter_ids:
        try:
            require_replay(work, who, work.find(dead_letter_id))
        except NotAllowed as error:
            raise NotAllowed(
                f"dead letter {dead_letter_id}: {error}",
                next_step="leave it out, by its id or by the type of command, or ask somebody with that role",
            ) from None
        except (Damaged, KeyUnavailable) as error:
            raise Refused(
                f"dead letter {dead_letter_id} cannot be opened, so that nobody knows what it takes: {error}",
                code=error.code,
                next_step="leave it out, by its id",
            ) from error


def may_replay(work: Replaying, who: Caller, letter: DeadLetter) -> bool:
    """Whether they may replay it, so that it can be offered; not what cannot be opened."""
    try:
        require_replay(work, who, letter)
    except (NotAllowed, Damaged, KeyUnavailable):
        return False
    return True


def replayable(work: Replaying, who: Caller, dead_letter_ids: Sequence[str]) -> list[str]:
    """Those that they may replay."""
    if _may_give_all(who):
        return list(dead_letter_ids)
    return [one for one in dead_letter_ids if may_replay(work, who, work.find(one))]


def _may_give_all(who: Caller) -> bool:
    return all(who.may(action, None) for action in _ALL)


def may_stop(here: Desk, who: Caller, found: Replay) -> bool:
    """Whether they may replay each of the letters that still wait in it."""
    if who.may(Action.DEAD_LETTERS_REPLAY, None):
        return True
    waiting = [
        one.dead_letter_id for one in here.database.replays.items(found.replay_id) if one.state is ItemState.WAITING
    ]
    letters = here.database.letter_questions.candidates(LetterFilter(), MOST_LETTERS, waiting)
    tenants = {visible.tenant_of(letter) for letter in letters}
    return who.tenants(Action.DEAD_LETTERS_REPLAY) != [] and all(
        who.may(Action.DEAD_LETTERS_REPLAY, tenant) for tenant in tenants
    )


def require_stop(here: Desk, who: Caller, found: Replay) -> None:
    """NotAllowed unless they may."""
    if not may_stop(here, who, found):
        raise NotAllowed(
            f"stopping replay {found.replay_id} takes the role {LEAST[Action.DEAD_LETTERS_REPLAY].value} in the tenant "
            f"of each letter that waits in it, which {who.name} has not"
        )


def require_edited(who: Caller, letter: DeadLetter, item: Accepted) -> None:
    """NotAllowed unless they may edit it, and give what it has become."""
    command, tenant = item.command, item.command.subject.tenant_id
    for place in (visible.tenant_of(letter), tenant):
        who.require(Action.DEAD_LETTERS_EDIT, place)
    who.require(action_of(command.kind, command.data), tenant)
    if command.source != letter.source and not who.may(Action.DEAD_LETTERS_EDIT, None):
        raise NotAllowed(
            f"the source of a message is {letter.source or 'not known'}, and naming another one takes the role admin "
            "for the whole installation",
            next_step="leave `source` as it is, or ask somebody with that role"
            if letter.source
            else "discard it and have it sent again with its source, or ask somebody with that role",
        )
