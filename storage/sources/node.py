"""The sources that this node's configuration names, for one service at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from domain.contracts import Source
from domain.errors import Refused
from domain.service import Service
from domain.source import SourceKind, SourceSettings
from storage.sources.command import CommandSource
from storage.sources.volume import VolumeSource


class NodeSources:
    """See the port `Sources`."""

    def __init__(self, known: Mapping[str, SourceSettings], directory: Callable[[Service], str], locks: str) -> None:
        self._known, self._directory, self._locks = known, directory, locks

    def of(self, service: Service, names: Sequence[str]) -> tuple[Source, ...]:
        """See the port."""
        return tuple(self._source(service, name) for name in names)

    def _source(self, service: Service, name: str) -> Source:
        settings = self._known.get(name)
        if settings is None:
            raise Refused(
                f"this node has no source {name}, which service {service.service_id} needs",
                code="unknown-source",
                next_step=f"put a table [sources.{name}] into this node's configuration, or register without it",
            )
        directory = self._directory(service)
        lock = os.path.join(self._locks, f"{service.service_id}.{name}.lock")
        if settings.kind is SourceKind.COMMAND:
            return CommandSource(settings, service, directory, lock)
        return VolumeSource(settings, service, directory, lock)
