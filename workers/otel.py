"""Spans over OpenTelemetry, sent to a collector by OTLP over HTTP: the extra `otel`.

The only file that knows the library. It is imported when an address is configured and not before, because the library
reads its own environment (`OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_RESOURCE_ATTRIBUTES`,
`OTEL_SDK_DISABLED`) when it is. No provider of ours becomes the process's, and no exception is recorded with its text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as LibrarySpan
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from workers.tracing import Field, Hop, Span, Tracer

#: Seconds that one attempt to reach the collector may take: spans are worth no waiting.
SEND_SECONDS = 2
_KINDS = {
    Hop.SEND: SpanKind.PRODUCER,
    Hop.WORK: SpanKind.CONSUMER,
    Hop.CALL: SpanKind.CLIENT,
    Hop.PART: SpanKind.INTERNAL,
}
_PROPAGATOR = TraceContextTextMapPropagator()


def exporting(endpoint: str, service: str, node: str) -> Tracer:
    """A tracer that sends to the collector at `endpoint`, in batches and from a thread of its own."""
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=SEND_SECONDS)
    return OtelTracer(BatchSpanProcessor(exporter), service, node)


class OtelTracer:
    """The port `Tracer`."""

    on = True

    def __init__(self, processor: SpanProcessor, service: str, node: str) -> None:
        resource = Resource.create({"service.name": service, "service.instance.id": node})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("backstay")

    @contextlib.contextmanager
    def span(
        self, name: str, hop: Hop, parent: str | None = None, *, alone: bool = False, **fields: Field
    ) -> Iterator[Span]:
        """As the port says. An exception marks the span with the name of its type and goes on."""
        context = Context() if alone else None
        if parent:
            context = _PROPAGATOR.extract({"traceparent": parent}, Context())
        opened = self._tracer.start_span(name, context, kind=_KINDS[hop], attributes=_named(fields))
        span = OtelSpan(opened)
        within = contextlib.nullcontext() if alone else _current(opened)
        try:
            with within:
                yield span
        except BaseException as error:  # told of whatever ends it, an interrupt too; the error goes on
            span.fail(type(error).__name__)
            raise
        finally:
            opened.end()

    def close(self) -> None:
        """Send what is waiting; a collector that is away has it thrown away."""
        self._provider.shutdown()


def _current(span: LibrarySpan) -> contextlib.AbstractContextManager[object]:
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


class OtelSpan:
    """The port `Span`."""

    def __init__(self, span: LibrarySpan) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """As W3C has it."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, trace.set_span_in_context(self._span))
        return carrier.get("traceparent")

    def note(self, **fields: Field) -> None:
        """Fields without a dot are ours and get a prefix."""
        self._span.set_attributes(_named(fields))

    def fail(self, what: str) -> None:
        """Its status is an error; `error.type` says which."""
        self._span.set_attribute("error.type", what)
        self._span.set_status(Status(StatusCode.ERROR))


def _named(fields: dict[str, Field]) -> dict[str, Field]:
    """`messaging_…`, `http_…` by the conventions of OpenTelemetry; all others are ours."""
    return {_convention(name): value for name, value in fields.items()}


def _convention(name: str) -> str:
    known = {
        "message": "messaging.message.id",
        "system": "messaging.system",
        "destination": "messaging.destination.name",
        "status": "http.response.status_code",
        "method": "http.request.method",
    }
    return known.get(name, f"backstay.{name}")
