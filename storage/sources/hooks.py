"""The node's own programs around a snapshot or a restore."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from domain.contracts import Watch
from domain.contracts.sources import Work
from domain.errors import Refused, ShuttingDown, SourceUnavailable
from domain.service import Service
from domain.source import HookSettings
from storage.sources.command import LEASE_LEFT
from storage.sources.naming import program_of
from storage.sources.program import running


class NodeHooks:
    """See the port `Hooks`."""

    def __init__(self, settings: HookSettings, directory: Callable[[Service], str]) -> None:
        self._settings, self._directory = settings, directory

    def any(self, what: Work) -> bool:
        """See the port."""
        return bool(getattr(self._settings, f"before_{what}") or getattr(self._settings, f"after_{what}"))

    def before(self, what: Work, service: Service, watch: Watch) -> None:
        """See the port."""
        first: Sequence[str] = getattr(self._settings, f"before_{what}")
        if first:
            self._run(f"before_{what}", first, service, watch.check)

    def after(self, what: Work, service: Service, watch: Watch) -> str | None:
        """See the port."""
        last: Sequence[str] = getattr(self._settings, f"after_{what}")
        if not last:
            return None

        def keep() -> None:
            with contextlib.suppress(ShuttingDown):  # no service stays asleep because a worker stops
                watch.keep(LEASE_LEFT)

        try:
            keep()  # a holder that was frozen wakes nothing under its successor
            self._run(f"after_{what}", last, service, keep)
        except (Refused, SourceUnavailable) as error:
            return str(error)
        return None

    def _run(self, name: str, words: Sequence[str], service: Service, check: Callable[[], None]) -> None:
        arguments, environment = program_of(words, service, self._directory(service))
        about = f"the hook {name} for service {service.service_id}"
        with running(about, arguments, environment, self._settings.seconds) as program:
            program.wait(check)
