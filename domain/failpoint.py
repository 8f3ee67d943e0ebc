"""Named points where a test may kill, pause or fail the process; nothing at all in production.

`failpoint("settle.before-commit")` stands at each commit and at each effect on a store, a broker or a
live directory. Tests replace `hook`; the trace of a run without faults is the list of crash points, so
new code is covered without editing a test.
"""

from __future__ import annotations

from collections.abc import Callable


def _nothing(name: str) -> None:
    """The production hook."""


hook: Callable[[str], None] = _nothing


def failpoint(name: str) -> None:
    """Tell the hook that execution has reached `name` (dotted, `<part>.<before|after>-<effect>`)."""
    hook(name)
