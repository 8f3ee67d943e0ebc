"""One trace from publish to outcome, over every hop and every attempt; what it may hold, and that it costs nothing."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from domain.errors import DatabaseUnavailable, Refused
from domain.operation import TERMINAL, Budget, Operation
from domain.region import Call, Place
from tests.acceptance.platform import grow
from tests.waiting import eventually
from workers.bootstrap import System
from workers.border import Publisher
from workers.clock import SystemClock
from workers.config import load
from workers.otel import OtelTracer
from workers.region_client import HttpRegion
from workers.regions import RegionSettings
from workers.runtime import NodeProcess
from workers.telemetry import open_tracer
from workers.tracing import NO_TRACING, Hop, trace_of_id

CANARY = "value-canary-9912"


class Traced:
    """A tracer whose spans can be looked at."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer = OtelTracer(SimpleSpanProcessor(self._exporter), "backstay", "n1")

    def spans(self) -> list[ReadableSpan]:
        """Those that have ended."""
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (found,) = self.named(name)
        return found


@pytest.fixture
def traced() -> Iterator[Traced]:
    made = Traced()
    yield made
    made.tracer.close()


def trace_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


@contextmanager
def node(home: Path, traced: Traced, name: str = "n1") -> Iterator[System]:
    """A working node whose spans go to `traced`."""
    environment = {"BACKSTAY_DATA_DIR": str(home), "BACKSTAY_NODE": name, "BACKSTAY_LOG_LEVEL": "error"}
    system = System(load(environment))
    system.__dict__["tracer"] = traced.tracer
    system.database.migrate()
    process = NodeProcess(system, budget=Budget(backoff_base=0.01, backoff_cap=0.02))
    process.start()
    try:
        yield system
    finally:
        process.stop(threading.Event())
        system.database.close()


def test_a_collector_that_is_away_costs_the_spans_and_one_line_of_log(caplog: pytest.LogCaptureFixture) -> None:
    tracer = open_tracer(load({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}))
    with tracer.span("publish create-snapshot", Hop.SEND):
        pass
    tracer.close()
    assert caplog.messages == ["tracing.not-sent"]


@dataclass(frozen=True)
class Request:
    """What a server was sent."""

    path: str
    headers: dict[str, str]
    body: bytes


@contextmanager
def listening() -> Iterator[tuple[str, list[Request]]]:
    """A server that says 200 to every POST: its address, and what it was sent."""
    got: list[Request] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append(Request(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", got
        finally:
            server.shutdown()
            thread.join()


def command(kind: str, data: dict[str, Any], message_id: str, **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": message_id,
        "source": "/tests",
        "type": f"backstay.{kind}.v1",
        "subject": "tenant/acme/service/web",
        "data": data,
        **more,
    }


def ended(system: System, message_id: str) -> Operation:
    def look() -> Operation | None:
        found = system.database.find_by_message("/tests", message_id)
        return found if found and found.state in TERMINAL else None

    found = eventually(look, what=f"{message_id} has ended")
    assert found is not None
    return found


def test_one_trace_leads_from_publish_to_the_telling_of_the_outcome(tmp_path: Path, traced: Traced) -> None:
    with node(tmp_path, traced) as system:
        grow(tmp_path / "apps" / "web", seed=1, files=2)
        publisher = Publisher(system.settings.broker_url, tracer=traced.tracer)
        publisher.command(command("register-service", {"node": "n1"}, "m1"))
        ended(system, "m1")
        publisher.command(command("create-snapshot", {"labels": [f"owner:{CANARY}"]}, "m2"))
        operation = ended(system, "m2")
        tell = "tell backstay.create-snapshot.succeeded.v1"
        eventually(lambda: traced.named(tell), what="the outcome is told")
        publisher.close()
    publish, accept = traced.one("publish create-snapshot"), traced.one("accept create-snapshot")
    process, told = traced.one("process create-snapshot"), traced.one(tell)
    assert len({trace_id(span) for span in (publish, accept, process, told)}) == 1
    assert parent_of(publish) is None
    assert parent_of(accept) == id_of(publish)
    assert parent_of(process) == parent_of(told) == id_of(accept)
    fields = dict(process.attributes or {})
    assert fields["backstay.operation"] == operation.op_id
    assert (fields["backstay.how"], fields["backstay.attempt"]) == ("succeeded", 1)
    assert trace_id(publish) != trace_id(traced.one("publish register-service")), "another command, another trace"
    assert CANARY not in "".join(span.to_json() for span in traced.spans())


def test_a_trace_that_a_publisher_began_is_continued(tmp_path: Path, traced: Traced) -> None:
    theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with node(tmp_path, traced) as system:
        publisher = Publisher(system.settings.broker_url)
        publisher.command(command("create-snapshot", {}, "m1", traceparent=theirs))
        operation = ended(system, "m1")
        publisher.close()
    spans = [traced.one("accept create-snapshot"), traced.one("process create-snapshot")]
    assert {trace_id(span) for span in spans} == {"0af7651916cd43dd8448eb211c80319c"}
    assert operation.traceparent is not None and operation.traceparent.split("-")[1] == theirs.split("-")[1]


def test_attempts_of_a_command_without_a_trace_meet_in_one(traced: Traced) -> None:
    """What a node has asked for by itself has no message that could carry a trace."""
    op_id = "0190f1d2-7c3a-7b11-9e55-0123456789ab"
    for _ in range(2):
        with traced.tracer.span("process apply-retention", Hop.WORK, trace_of_id(op_id)):
            pass
    assert {trace_id(span) for span in traced.spans()} == {op_id.replace("-", "")}


def test_a_region_is_told_the_trace_and_its_call_is_a_span_of_it(traced: Traced) -> None:
    with listening() as (address, got):
        region = HttpRegion({"r": RegionSettings("r", address)}, SystemClock(), traced.tracer)
        call = Call("add-env", "POST", "/env", {"env_name": "A", "env_value": CANARY})
        with traced.tracer.span("process upgrade-service", Hop.WORK):
            assert region.send(Place("r", "acme", "svc", "web"), call, 1).status == 200
        region.close()
    sent, work = traced.one("region add-env"), traced.one("process upgrade-service")
    (request,) = got
    assert request.headers["traceparent"].split("-")[1:3] == [trace_id(work), f"{id_of(sent):016x}"]
    assert parent_of(sent) == id_of(work)
    assert dict(sent.attributes or {})["http.response.status_code"] == 200
    assert CANARY not in sent.to_json()


def test_without_traces_a_region_is_sent_no_header_about_them() -> None:
    with listening() as (address, got):
        region = HttpRegion({"r": RegionSettings("r", address)}, SystemClock())
        region.send(Place("r", "acme", "svc", "web"), Call("add-env", "POST", "/env", {}), 1)
        region.close()
    assert "traceparent" not in got[0].headers


def test_a_call_that_never_arrived_is_a_failed_span(traced: Traced) -> None:
    region = HttpRegion({"r": RegionSettings("r", "http://127.0.0.1:1")}, SystemClock(), traced.tracer)
    region.send(Place("r", "acme", "svc", "web"), Call("add-env", "POST", "/env", {}), 1)
    region.close()
    sent = traced.one("region add-env")
    assert sent.status.status_code.name == "ERROR"
    assert dict(sent.attributes or {})["error.type"] == "not-sent"


def test_an_error_leaves_its_type_in_the_span_and_never_its_text(traced: Traced) -> None:
    """I18: an exception may quote a secret value."""
    with pytest.raises(Refused), traced.tracer.span("process restore-snapshot", Hop.WORK):
        raise Refused(CANARY)
    span = traced.one("process restore-snapshot")
    assert dict(span.attributes or {})["error.type"] == "Refused"
    assert CANARY not in span.to_json()


def test_a_batch_that_could_not_be_accepted_leaves_no_open_span(traced: Traced) -> None:
    from tests.contract.sql_bench import accepted
    from workers.tracing import accept_traced

    class Away:
        def accept(self, batch: object) -> Any:
            raise DatabaseUnavailable("away")

    with pytest.raises(DatabaseUnavailable):
        accept_traced(traced.tracer, Away(), [accepted("m1"), accepted("m2")])  # type: ignore[arg-type]
    assert [span.name for span in traced.spans()] == ["accept create-snapshot"] * 2
    assert all(parent_of(span) is None for span in traced.spans()), "one message's span is not within another's"


def test_without_an_address_there_is_no_tracing_and_a_trace_is_passed_on() -> None:
    assert open_tracer(load({})) is NO_TRACING
    theirs = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with NO_TRACING.span("publish x", Hop.SEND, theirs) as span:
        assert span.traceparent == theirs


def test_spans_arrive_at_the_collector_under_the_installation_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.otel.SEND_SECONDS", 60)
    with listening() as (address, got):
        tracer = open_tracer(load({"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_SERVICE_NAME": "eu-backups"}))
        with tracer.span("publish create-snapshot", Hop.SEND, message="m1"):
            pass
        tracer.close()
    (request,) = got
    sent = ExportTraceServiceRequest.FromString(request.body).resource_spans[0]
    names = {item.key: item.value.string_value for item in sent.resource.attributes}
    assert (request.path, names["service.name"]) == ("/v1/traces", "eu-backups")
    assert sent.scope_spans[0].spans[0].name == "publish create-snapshot"
