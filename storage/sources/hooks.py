"""The node's own programs around a snapshot or a restore.

Those of one service run one after the other on this node, also beside one whose worker was stopped or killed: its guard
holds the lock of the service, and whoever takes over waits for it. The worker itself lets go of the lock as soon as
the guard has it, so that a worker that stands still keeps nobody waiting.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

from domain.contracts import Watch
from domain.contracts.sources import Work
from domain.errors import Refused, SourceUnavailable
from domain.service import Service
from domain.source import HookSettings
from storage.sources.command import LEASE_LEFT
from storage.sources.guard import guarded
from storage.sources.lock import held
from storage.sources.naming import program_of
from storage.sources.program import PATH, running

#: Seconds beyond the time of a hook after which its guard ends it, if its worker has not.
GRACE = 5.0


class NodeHooks:
    """See the port `Hooks`."""

    def __init__(self, settings: HookSettings, directory: Callable[[Service], str], locks: str) -> None:
        self._settings, self._directory, self._locks = settings, directory, locks

    def any(self, what: Work) -> bool:
        """See the port."""
        return bool(getattr(self._settings, f"before_{what}") or getattr(self._settings, f"after_{what}"))

    def before(self, what: Work, service: Service, watch: Watch) -> None:
        """See the port."""
        self._run(f"before_{what}", service, watch.check)

    def after(self, what: Work, service: Service, watch: Watch) -> str | None:
        """See the port."""
        if not getattr(self._settings, f"after_{what}"):
            return None

        def keep() -> None:
            watch.keep(LEASE_LEFT)

        with watch.staying():  # no service stays asleep because a worker stops
            try:
                self._run(f"after_{what}", service, keep)
            except (Refused, SourceUnavailable) as error:
                return str(error)
        return None

    def _run(self, name: str, service: Service, check: Callable[[], None]) -> None:
        """Run it, if there is such a program, once no other one of the service runs any more."""
        words: Sequence[str] = getattr(self._settings, name)
        seconds = self._settings.seconds
        with contextlib.ExitStack() as stack:
            with held(self._lock(service), seconds + 2 * GRACE, check, "an earlier hook of the same service") as lock:
                check()  # while nobody else can begin: a holder that was frozen runs nothing under its successor
                if not words:
                    return
                arguments, environment = program_of(words, service, self._directory(service))
                about = f"the hook {name} for service {service.service_id}"
                command = guarded(arguments, {"PATH": PATH, **environment}, lock, seconds + GRACE)
                program = stack.enter_context(running(about, command, environment, seconds, keep_open=(lock,)))
            program.wait(check)

    def _lock(self, service: Service) -> str:
        return os.path.join(self._locks, "hooks", f"{service.service_id}.lock")
