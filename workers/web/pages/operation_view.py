"""What a page shows of an operation: pure, from the operation, its steps, and what it waits for.

Apart from the routes because which words stand where is tested without a server. No value of a configuration and
nothing of a command's data but the names of its fields is part of a view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from domain.chronicle import Moment, Told, attempts, chronicle
from domain.contracts import DeadLetter
from domain.explain import Line, story
from domain.operation import TERMINAL, Operation, State, Step
from workers.web.pages.wording import figure, moment, state

#: States in which nothing more happens by itself.
ENDED = TERMINAL | {State.STUCK}
#: Figures that have a place of their own on the page.
_ELSEWHERE = frozenset({"evidence", "snapshot_id", "dry_run"})
#: The way out, where the outcome names none.
_UNSTUCK = (
    "put the cause right and have it put back once more; or put things right by hand, and say so. "
    "Its service is reserved until then"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list."""

    op_id: str
    kind: str
    tenant_id: str
    service_id: str
    state: State
    sentence: str
    incomplete: bool
    ended: bool
    progress: dict[str, Any] | None
    created_at: int


@dataclass(frozen=True, slots=True)
class View:
    """One operation's page."""

    op_id: str
    kind: str
    tenant_id: str
    service_id: str
    state: State
    tone: str
    ended: bool
    incomplete: bool
    sentence: str
    code: str
    next_step: str
    waits_for: str
    cancel_requested: bool
    progress: dict[str, Any] | None
    items: list[dict[str, Any]]
    items_title: str
    evidence: list[tuple[str, str]]
    story: list[Line]
    steps_told: str
    began: list[Moment]  # before the steps
    went_on: list[Moment]  # after them
    for_the_tenant: str
    no_steps: str
    figures: dict[str, Any] = field(default_factory=dict)


def row(operation: Operation, waits_for: str) -> Row:
    """A line of a list; `waits_for` is of use until it has ended."""
    outcome, ended = operation.outcome or {}, operation.state in ENDED
    return Row(
        operation.op_id,
        operation.kind,
        operation.tenant_id,
        operation.service_id,
        operation.state,
        str(outcome.get("sentence") or "") if ended else waits_for,
        ended and outcome.get("complete") is False,
        ended,
        operation.progress,
        operation.created_at,
    )


def view(
    operation: Operation,
    steps: Sequence[Step],
    waits_for: str,
    events: Sequence[Told] = (),
    letters: Sequence[DeadLetter] = (),
) -> View:
    """The page of one operation; `letters` may hold others' with the same message."""
    moments = chronicle(operation, events, letters)
    outcome = (operation.outcome or {}) if operation.state in ENDED else {}
    figures = dict(outcome.get("figures") or {})
    ended = operation.state in ENDED
    incomplete = ended and outcome.get("complete") is False
    own = operation.service_id
    # Its own service stands above; only what belongs to another one of its group is named.
    lines = [replace(line, what=line.what.removeprefix(f"{own}: ")) for line in story(steps)]
    return View(
        op_id=operation.op_id,
        kind=operation.kind,
        tenant_id=operation.tenant_id,
        service_id=operation.service_id,
        state=operation.state,
        tone="warn" if incomplete and operation.state is State.SUCCEEDED else state(operation.state)[1],
        ended=ended,
        incomplete=incomplete,
        sentence=str(outcome.get("sentence") or f"it is {state(operation.state)[0]}"),
        code=str((outcome.get("code") if ended else operation.error_code) or ""),
        next_step=str(outcome.get("next_step") or (_UNSTUCK if operation.state is State.STUCK else "")),
        waits_for=waits_for,
        cancel_requested=operation.cancel_requested,
        progress=operation.progress,
        items=[item | {"name": str(item["name"]).removeprefix(f"{own}/")} for item in outcome.get("items") or ()],
        items_title=_items_title(operation.state, incomplete, figures),
        evidence=[(str(name), str(text)) for name, text in (figures.get("evidence") or {}).items()],
        story=lines,
        steps_told=_told([line for line, step in zip(lines, steps, strict=True) if step.kind != "plan"]),
        began=moments[:1],
        went_on=moments[1:],
        for_the_tenant=str(outcome.get("tenant_sentence") or ""),
        no_steps="No step was journalled." if ended else "It has not begun with anything that counts.",
        figures={name: value for name, value in figures.items() if name not in _ELSEWHERE},
    )


def facts(operation: Operation, figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(name, value, link) of what else is known; nothing that is empty."""
    outcome = operation.outcome or {}
    snapshot = str((outcome.get("figures") or {}).get("snapshot_id") or "")
    told = [
        ("snapshot", snapshot, f"/snapshots/{snapshot}"),
        *((name.replace("_", " "), _shown(_unit(name, figures), value), "") for name, value in figures.items()),
        ("asked for by", operation.source, ""),
        ("message", operation.message_id, ""),
        ("asked for at", moment(operation.created_at), ""),
        ("last changed at", moment(operation.updated_at), ""),
        ("must end by", moment(operation.deadline_at) if operation.deadline_at else "", ""),
        ("only on node", operation.node or "", ""),
        ("fence", str(operation.fence), ""),
        ("so far", attempts(operation), ""),
        ("correlation", operation.correlation_id or "", ""),
        ("led to by", operation.causation_id or "", ""),
        ("fields of its data", ", ".join(sorted(set(operation.data) - {"configuration"})), ""),
    ]
    return [(name, value, link if value else "") for name, value, link in told if value]


def _shown(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {one}" for key, one in value.items())
    return figure(name, value) if value is not None else ""


def _unit(name: str, figures: dict[str, Any]) -> str:
    """The name by which a figure's unit is known: of a restore these count bytes, of an upgrade items."""
    return "bytes" if "fetched" in figures and name in ("fetched", "reused", "kept") else name


def _items_title(final: State, incomplete: bool, figures: dict[str, Any]) -> str:
    if figures.get("dry_run"):
        return "What a restore would do"
    if final is State.STUCK:
        return "What could not be put back"
    return "What was left out" if incomplete else "What was found"


def _told(lines: Sequence[Line]) -> str:
    counts: dict[str, int] = {}
    for line in lines:
        word = state(line.state)[0]
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in counts.items())
