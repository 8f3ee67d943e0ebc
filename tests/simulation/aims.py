"""Whether an upgrade or a rollback that calls itself succeeded has led to where it should: row by row, every service.

Apart from the truth, which holds of every operation, because this knows what was published, what stood before each
upgrade and what the region has refused. That console and region say the same is not enough: both may be wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.operation import Operation, State, Step
from domain.region import Call, Place
from domain.service import Service
from domain.upgrade_record import UpgradeRecord
from tests.simulation.merging import Items, has_inner_port, merged, without

Rows = Mapping[str, Service]


@dataclass(frozen=True, slots=True)
class Aim:
    """Where one service is to be led, if the region takes everything."""

    origin: dict[str, Any]
    items: Items
    takes_back: str = ""  # of a rollback: the upgrade


class Aims:
    """Told of every end in the order of the ends."""

    def __init__(self, templates: Mapping[str, Any], rows: Rows) -> None:
        """`templates`: what was published, by version; `rows`: the services as they were installed."""
        self._templates = templates
        self._before: dict[tuple[str, str], Service] = {}  # by upgrade and service: what stood before it
        self._standing: dict[str, list[str]] = {name: [] for name in rows}  # upgrades not taken back, the last one last
        self._openness = {name: {has_inner_port(found.document["items"])} for name, found in rows.items()}
        self._refused: set[tuple[str, str, str]] = set()

    def refused(self, op_id: str, place: Place, call: Call) -> None:
        """The region has answered 400."""
        self._refused.add((op_id, place.service_id, _named(call.document())))

    def wrong(
        self, operation: Operation, steps: list[Step], records: Iterable[UpgradeRecord], before: Rows, rows: Rows
    ) -> list[str]:
        """Sentences about the end of an upgrade or a rollback; `before` and `rows`: the console around this end."""
        if operation.state is not State.SUCCEEDED:
            standing = self._standing[operation.service_id]
            if operation.error_code == "nothing-to-roll-back" and standing:
                return [f"{operation.op_id} found nothing to roll back, and {standing[-1]} stands"]
            return []
        bad = self._told(operation, steps)
        if operation.kind == "upgrade-service":
            aims = self._versions(operation, before, rows)
        else:
            aims = self._ways_back(operation, records, bad)
        told, given_up = (operation.outcome or {})["figures"]["services"], _given_up(operation)
        if sorted(told) != sorted(aims):
            bad.append(f"{operation.kind} was of {sorted(told)}, not of {sorted(aims)}")
        for name, found in rows.items():
            wanted = before[name].document
            if name in aims and name not in given_up:
                left_out = _left_out(operation, name)
                items = without(aims[name].items, wanted["items"], left_out, generated=not aims[name].takes_back)
                wanted = {"origin": aims[name].origin, "items": items}
            bad += _compared(operation, name, wanted, found.document)
        for name in aims.keys() - given_up:
            self._note(operation, name, aims[name], before[name], rows[name])
        return bad

    def _note(self, operation: Operation, name: str, aim: Aim, before: Service, after: Service) -> None:
        self._openness[name].add(has_inner_port(after.document["items"]))
        if aim.takes_back:
            self._standing[name].remove(aim.takes_back)
        elif aim.items != before.document["items"]:
            self._standing[name].append(operation.op_id)
            self._before[operation.op_id, name] = before

    # ------------------------------------------------------------ where it leads to
    def _versions(self, operation: Operation, before: Rows, rows: Rows) -> dict[str, Aim]:
        """What the published version makes of each service: of the whole group, or of the subject."""
        version = operation.data["version"]
        parts = self._templates[version]["services"]
        names = list(before) if operation.data["group"] else [operation.service_id]

        def items(name: str, openness: Mapping[str, set[bool]]) -> Items:
            service, found = before[name].document, rows[name].document["items"].get("dependency", {})

            def depends(provider: str) -> bool:
                """Of one that had an inner port at times, nobody knows here what it had when this was planned."""
                return provider in found if len(openness[provider]) > 1 else True in openness[provider]

            wanted = dict(parts[service["origin"]["service_key"]]) | {"version": version}
            return merged(name, service["items"], wanted, depends)

        coming = {name: {has_inner_port(items(name, self._openness))} for name in names}
        origins = {name: before[name].document["origin"] | {"version": version} for name in names}
        return {name: Aim(origins[name], items(name, self._openness | coming)) for name in names}

    def _ways_back(self, operation: Operation, records: Iterable[UpgradeRecord], bad: list[str]) -> dict[str, Aim]:
        """What stood before the upgrade that it takes back, of all services in which that one still stands."""
        parents = {record.service_id: str(record.parent_id) for record in records}
        upgrade, standing = parents.get(operation.service_id, ""), self._standing[operation.service_id]
        if upgrade not in standing[-1:]:
            bad.append(f"rollback {operation.op_id} took back {upgrade}, not the last one that stands of {standing}")
        names = [name for name, upgrades in self._standing.items() if upgrade in upgrades]
        stood = {name: self._before[upgrade, name].document for name in names}
        return {name: Aim(found["origin"], found["items"], upgrade) for name, found in stood.items()}

    # ------------------------------------------------------------ what it says of itself
    def _told(self, operation: Operation, steps: list[Step]) -> list[str]:
        """Nothing is left out but what the region has refused, and whatever is left out makes it incomplete."""
        outcome, bad = operation.outcome or {}, []
        codes = {item["code"] for item in outcome["items"]} - {"exists"}
        if outcome["complete"] is bool(codes):
            bad.append(f"{operation.kind} calls itself {'' if codes else 'in'}complete with {sorted(codes)}")
        if operation.data["whole"] and _given_up(operation):
            bad.append(f"{operation.kind} was to be whole, and has given up {sorted(_given_up(operation))}")
        for item in outcome["items"]:
            if item["code"] == "left-out" and operation.data.get("strict"):
                bad.append(f"{operation.kind} was to be strict, and left out {item['name']}")
            if item["code"] == "left-out" and not self._was_refused(operation, item["name"], steps):
                bad.append(f"{operation.kind} left out {item['name']}, which the region has not refused")
        return bad

    def _was_refused(self, operation: Operation, name: str, steps: list[Step]) -> bool:
        service, _, item = name.partition("/")
        calls = [step.request["call"] for step in steps if step.kind == "call" and _is_about(step, service, item)]
        return any((operation.op_id, service, _named(call)) in self._refused for call in calls)


def _compared(operation: Operation, name: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    kinds = sorted(wanted["items"].keys() | found["items"].keys())
    parts = {kind: (wanted["items"].get(kind, {}), found["items"].get(kind, {})) for kind in kinds}
    parts["origin"] = (wanted["origin"], found["origin"])
    return [
        f"{operation.kind} led {name} to {part} {theirs}, not to {ours}"
        for part, (ours, theirs) in parts.items()
        if ours != theirs
    ]


def _left_out(operation: Operation, service: str) -> set[str]:
    """Items of the service, as "kind/key"."""
    named = [item["name"].partition("/") for item in (operation.outcome or {})["items"] if item["code"] == "left-out"]
    return {item for name, _, item in named if name == service}


def _given_up(operation: Operation) -> set[str]:
    """Services that were put back alone: such an item names nothing but the service."""
    return {item["name"] for item in (operation.outcome or {})["items"] if "/" not in item["name"]}


def _is_about(step: Step, service: str, item: str) -> bool:
    return bool(step.request["service"] == service and step.request["item"] == item)


def _named(call: Mapping[str, Any]) -> str:
    return json.dumps(call, sort_keys=True)
