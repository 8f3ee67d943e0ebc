"""Scripts of failures: which requests shall go wrong, and how.

Apart from the state because a fault is the network's or the server's, never the region's memory.
A rule is `{"match": {"method", "path" (regex), "nth" (from 1)}, "do": …, "times": n}`; every part may be absent.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

ACTIONS = (
    "cut-before",  # not applied, connection reset
    "cut-after",  # applied, connection reset before the reply
    "late",  # connection reset, applied `delay_ms` later
    "empty-500",  # not applied
    "half-body",  # applied, the reply ends in the middle
    "504-applied",  # applied, but the server's own deadline answers
    "double-body",  # applied, two documents
    "hang",  # not applied, no reply until the client goes or a minute has passed
    "answer",  # not applied, the `status` and `body` of the rule
    "apply",  # applied and answered, after `delay_ms`
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What to do with one request."""

    action: str = "apply"
    delay_ms: int = 0
    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def parse_fault(do: Any) -> Fault:
    """A name of ACTIONS, or an object with `action`, `delay_ms`, `status`, `body`, `headers`. ValueError if unknown."""
    given: dict[str, Any] = {"action": do} if isinstance(do, str) else dict(do)
    body = given.pop("body", "")
    action = given.pop("action", "answer" if "status" in given else "apply")
    unknown = set(given) - {"delay_ms", "status", "headers"}
    if action not in ACTIONS or unknown:
        raise ValueError(f"unknown fault: {action} {sorted(unknown)}; known are {', '.join(ACTIONS)}")
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = tuple(given.pop("headers", {}).items())
    return Fault(action, body=raw, headers=headers, **given)


class Script:
    """Rules in order; the first that matches a request decides. Not safe for threads."""

    def __init__(self, rules: list[dict[str, Any]]) -> None:
        self._rules = [(rule, parse_fault(rule["do"])) for rule in rules]
        self._seen = [0] * len(rules)
        self._done = [0] * len(rules)
        self.calls = 0

    @property
    def struck(self) -> int:
        """How often any of the rules has decided."""
        return sum(self._done)

    def fault(self, method: str, path: str) -> Fault | None:
        """What shall happen to this request; None for nothing. Counts it."""
        chosen: Fault | None = None
        self.calls += 1
        for number, (rule, fault) in enumerate(self._rules):
            match = rule.get("match", {})
            if match.get("method", method) != method or not re.search(match.get("path", ""), path):
                continue
            self._seen[number] += 1
            due = match.get("nth") in (None, self._seen[number]) and self._done[number] < rule.get("times", 10**9)
            if chosen is None and due:
                self._done[number] += 1
                chosen = fault
        return chosen
