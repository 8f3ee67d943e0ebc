"""What one journalled step is called and what its state means, for every kind of step that there is.

Apart from the story, which puts them in order, because this is a list of words that grows with the kinds. Nothing here
shows a value: calls appear by name and item, never with their bodies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.journal import HOOK
from domain.operation import Step, StepState

Fields = dict[str, Any]

#: What a step's state means to a person.
STATES = {
    StepState.PENDING: "not begun",
    StepState.INTENT: "sent, or about to be; nobody knows yet whether it arrived",
    StepState.DONE: "done",
    StepState.UNDONE: "put back",
    StepState.IGNORED: "refused with 400 and ignored",
}
#: Steps whose effect is in the commit that wrote them down, so that they have no other end.
_AT_ONCE = frozenset({"mark-deleting", "retention"})
#: Steps that work on this side of every border: begun and not ended means that a worker is at it, or died at it.
_OURS = frozenset({"staged", "swap", "data", "data-back", "source", "protect", "repack"})


def what(step: Step) -> str:
    """The step in a few words."""
    name = step.kind.partition(":")[0]
    known = _WORDS.get(name)
    return known(step.request) if known else _unknown(step)


def meaning(step: Step) -> str:
    """What has come of it."""
    name = step.kind.partition(":")[0]
    if name == "plan":
        return "written down before the first effect"
    if name in _AT_ONCE:
        return "done: it was in force with the commit that wrote it down"
    if name == "give-up":
        return "decided; everything of this service is put back" + (
            "" if step.state is StepState.DONE else ", which is under way"
        )
    if step.kind.startswith(HOOK):
        return _hook(step)
    if step.state is StepState.IGNORED and name == "converge" and step.reply.get("verdict") != "exists":
        return "the region did not take our value: console and region differ in it"
    if step.state is StepState.IGNORED:
        exists = step.reply.get("verdict") == "exists"
        return "ignored a 400: it existed before" if exists else "ignored a 400: the item is left out"
    if step.state is StepState.UNDONE:
        return _undone(step)
    if step.state is StepState.DONE and step.reply.get("lost"):
        return "sent, and not to be found: the region may work on it under an id of its own"
    if step.state is StepState.INTENT and step.request.get("idle"):
        return "the region was busy or away; it certainly did not arrive"
    if step.state is StepState.INTENT and name in _OURS:
        return "begun; a worker is at it, or another goes on with it"
    return STATES[step.state]


def _hook(step: Step) -> str:
    if step.state is StepState.UNDONE:
        return "the program for afterwards has run" + (", and failed" if step.reply.get("trouble") else "")
    return "the program before was started; the one for afterwards has not run yet"


def _undone(step: Step) -> str:
    if step.reply.get("was", {}).get("verdict") in ("exists", "left-out"):
        return "nothing to put back: the 400 was ignored"
    if step.reply.get("failed") or step.reply.get("skipped"):
        return "failed, without any effect"
    if step.reply.get("verdict") not in ("undone", None):
        return "refused, without any effect"
    return STATES[step.state]


# ------------------------------------------------------------ the words
def _plan(request: Fields) -> str:
    tasks = request.get("tasks", ())
    changes = sum(len(task["plan"]["changes"]) for task in tasks)
    return f"plan {request.get('purpose', '')}: {changes} changes of {len(tasks)} services"


def _protect(request: Fields) -> str:
    kept = "with data" if request.get("data") else "of the configuration"
    return f"{_service(request)}: snapshot {request.get('snapshot')} {kept}, as the way back"


def _call(request: Fields) -> str:
    call = request["call"]
    return f"{_service(request)}: {request['verb']} {request['item']} ({call['method']} {call['path']})"


def _swap(request: Fields) -> str:
    figures = ", ".join(
        f"{request[name]} {words}"
        for name, words in (("files", "files"), ("bytes", "bytes"), ("fetched", "bytes fetched"))
        if name in request
    )
    told = f": {figures}" if figures else ""
    return f"{_service(request)}: tree of snapshot {request.get('snapshot_id')} takes the place of the live one{told}"


def _retention(request: Fields) -> str:
    return f"{len(request.get('deleted', ()))} snapshots marked as deleted, {request.get('kept', 0)} kept"


def _repack(request: Fields) -> str:
    packs, snapshots = request.get("packs", ()), request.get("snapshots", ())
    return f"{len(packs)} packs of {len(snapshots)} snapshots rewritten, to win {request.get('bytes_won', 0)} bytes"


def _service(request: Fields) -> str:
    return str(request.get("service", ""))


def _unknown(step: Step) -> str:
    """A kind that this version has no words for: its name, and what it is about."""
    if step.kind.startswith(HOOK):
        around, _, service = step.kind.removeprefix(HOOK).partition(":")
        return f"{service}: the node's programs around the {around}"
    about = [str(step.request[name]) for name in ("service", "snapshot", "snapshot_id", "item") if name in step.request]
    return " ".join([step.kind.partition(":")[0].replace("-", " "), *about])


_WORDS: dict[str, Callable[[Fields], str]] = {
    "plan": _plan,
    "protect": _protect,
    "call": _call,
    "deploy": lambda r: f"{_service(r)}: {str(r.get('effect', '')).lower()} as event {r.get('event')}",
    "redeploy": lambda r: f"{_service(r)}: the old state again, as event {r.get('event')}",
    "data": lambda r: f"{_service(r)}: data of snapshot {r.get('snapshot')}",
    "data-back": lambda r: f"{_service(r)}: data as before the upgrade, from snapshot {r.get('snapshot')}",
    "converge": lambda r: f"{_service(r)}: our value for what existed before",
    "give-up": lambda r: f"{_service(r)}: put back alone, because {r.get('sentence', '')}",
    "staged": lambda r: f"sources of snapshot {r.get('snapshot')} fetched and verified, beside the live data",
    "source": lambda r: f"{_service(r)}: source {r.get('item')} from snapshot {r.get('snapshot')}",
    "swap": _swap,
    "mark-deleting": lambda r: f"snapshot {r.get('snapshot_id')} marked as deleted: nobody can begin to restore it",
    "retention": _retention,
    "repack": _repack,
}


def has_words(kind: str) -> bool:
    """Whether there are words for steps of that kind."""
    return kind.startswith(HOOK) or kind.partition(":")[0] in _WORDS
