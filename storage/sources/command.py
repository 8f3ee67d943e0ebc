"""A source that is the output of one program, and the input of another: a database's dump, for example.

The program that restores reads a file that is complete and was verified, not a pipe: when this worker dies, the
program meets no early end that it could take for the whole.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from domain.contracts import Fill, Watch
from domain.errors import Refused
from domain.failpoint import failpoint
from domain.service import Service
from domain.source import SourceKind, SourceSettings
from storage.sources.lock import held
from storage.sources.naming import program_of
from storage.sources.program import running

#: Seconds that a lease must still have while something runs that cannot be cancelled.
LEASE_LEFT = 10.0


class CommandSource:
    """See the port `Source`."""

    kind = SourceKind.COMMAND

    def __init__(self, settings: SourceSettings, service: Service, directory: str, lock: str) -> None:
        self.name = settings.name
        self._settings, self._service, self._directory, self._lock = settings, service, directory, lock

    @contextmanager
    def save(self, watch: Watch) -> Iterator[Fill]:
        """See the port."""
        arguments, environment = program_of(self._settings.save, self._service, self._directory)
        about = f"the program that saves source {self.name} of service {self._service.service_id}"
        with running(about, arguments, environment, self._settings.seconds, stdout=subprocess.PIPE) as program:
            yield partial(program.fill, check=watch.check)
            program.wait(watch.check)

    def prepare(self, size: int) -> None:
        """See the port."""
        if not self._settings.restore:
            raise Refused(
                f"source {self.name} has no program that restores it on this node",
                code="source-not-restorable",
                next_step="give it one in the node's configuration",
            )

    def restore(self, path: str, watch: Watch) -> None:
        """See the port."""
        arguments, environment = program_of(self._settings.restore, self._service, self._directory)
        about = f"the program that restores source {self.name} of service {self._service.service_id}"

        def check() -> None:
            watch.keep(LEASE_LEFT)

        with held(self._lock, self._settings.seconds, check) as lock, open(path, "rb") as saved:
            failpoint("source.before-restore")
            with running(
                about, arguments, environment, self._settings.seconds, stdin=saved, keep_open=(lock,)
            ) as program:
                program.wait(check)
            failpoint("source.after-restore")
