"""Whether this process makes traces: with an address to send them to and the extra `otel` installed, else not.

Apart from the port, which every part of a process imports, because this one looks at settings; and from the library's
file, because that one can only be imported where the extra is.
"""

from __future__ import annotations

import logging

from workers.config import Settings
from workers.tracing import NO_TRACING, Tracer

#: Not structlog's: a command that publishes has not configured that, and its answer on stdout must stay whole.
log = logging.getLogger("backstay.telemetry")


def open_tracer(settings: Settings) -> Tracer:
    """A tracer to where the settings say."""
    if settings.otlp_endpoint is None:
        return NO_TRACING
    try:
        from workers.otel import exporting
    except ModuleNotFoundError as error:
        detail = "install the extra `otel`, or unset OTEL_EXPORTER_OTLP_ENDPOINT"
        log.warning("tracing.not-installed", extra={"missing": error.name, "detail": detail})
        return NO_TRACING
    library = logging.getLogger("opentelemetry")
    library.handlers[:], library.propagate = [_Troubles()], False
    return exporting(settings.otlp_endpoint, settings.otel_service_name, settings.node)


class _Troubles(logging.Handler):
    """What the library says of a collector that is away: once for each batch that is lost, and under our name."""

    def emit(self, record: logging.LogRecord) -> None:
        """Its warnings are about tries that it repeats by itself."""
        if record.levelno >= logging.ERROR:
            log.warning("tracing.not-sent", extra={"detail": "spans were thrown away: the collector does not answer"})
