"""Whether this process makes progress and whether it can serve, as small named checks.

`live` asks about progress (a consumer that goes round, threads that run), never merely that the process
exists; a failed live check means "restart me", so it looks at memory only and waits for nothing. `ready` asks about
what the process needs from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from domain.errors import BackstayError


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one check."""

    name: str
    ok: bool
    detail: str


Check = Callable[[], Finding]


@dataclass(frozen=True, slots=True)
class Health:
    """The checks of one process."""

    live: Sequence[Check] = field(default=())
    ready: Sequence[Check] = field(default=())


def run(checks: Sequence[Check]) -> tuple[bool, list[Finding]]:
    """All findings; True when every check is fine."""
    findings = [check() for check in checks]
    return all(finding.ok for finding in findings), findings


def probe(name: str, act: Callable[[], object], *, fine: str = "ok") -> Check:
    """A check that is fine when `act` returns and not when it raises one of ours."""

    def check() -> Finding:
        try:
            act()
        except BackstayError as error:
            return Finding(name, False, f"{error.code}: {error}")
        return Finding(name, True, fine)

    return check
