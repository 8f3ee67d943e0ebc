"""Whether this process makes traces: with an address to send them to and the extra `otel` installed, else not.

Apart from the port, which every part of a process imports, because this one looks at settings; and from the library's
file, because that one can only be imported where the extra is.
"""

from __future__ import annotations

import structlog

from workers.config import Settings
from workers.tracing import NO_TRACING, Tracer

log = structlog.get_logger("telemetry")


def open_tracer(settings: Settings) -> Tracer:
    """A tracer to where the settings say."""
    if settings.otlp_endpoint is None:
        return NO_TRACING
    try:
        from workers.otel import exporting
    except ModuleNotFoundError as error:
        log.warning(
            "tracing.not-installed", missing=error.name, detail="install the extra `otel`, or unset the address"
        )
        return NO_TRACING
    return exporting(settings.otlp_endpoint, settings.otel_service_name, settings.node)
