"""Health and metrics as a platform reads them: over HTTP, from the real server, on a real database."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from domain.contracts import Accepted, Rejected
from domain.errors import DatabaseUnavailable, Refused
from domain.identity import Subject
from domain.message import Command
from storage.sealing import KeyRing
from storage.sql import Database, open_database
from tests.waiting import eventually
from workers.health import Finding, Health, probe
from workers.metrics import CONTENT_TYPE, Metrics
from workers.web.app import build_app
from workers.web.server import HttpServer

ANY_PORT = "127.0.0.1:0"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path}/backstay.db", KeyRing.parse(KeyRing.generate_text()))
    opened.migrate()
    yield opened
    opened.close()


def nothing_counted() -> dict[str, Any]:
    raise DatabaseUnavailable("connection refused")


@contextmanager
def serving(
    health: Health | None = None, counts: Callable[[], dict[str, Any]] = nothing_counted
) -> Iterator[tuple[str, Metrics]]:
    metrics = Metrics(counts, lambda: 2_000_000_000.0)
    server = HttpServer(build_app(health or Health(), metrics.render), ANY_PORT)
    server.start()
    try:
        yield server.address, metrics
    finally:
        server.stop()


def get(address: str, path: str, method: str = "GET") -> tuple[int, str, str]:
    """(status, content type, body)."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", ""), answer.read().decode()
    finally:
        connection.close()


def samples(address: str) -> dict[str, float]:
    """The series of /metrics with their values."""
    _, _, text = get(address, "/metrics")
    lines = [line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def accept(database: Database, message_id: str) -> None:
    command = Command("/test", message_id, "create-snapshot", 1, Subject("acme", "web"), {})
    database.inbox.accept([Accepted(command, "hash", True, False)])


# ---------------------------------------------------------------- health
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_fine_process_answers_200_with_its_findings(path: str) -> None:
    checks = (lambda: Finding("executors", True, "went round 0.2 s ago"),)
    with serving(Health(live=checks, ready=checks)) as (address, _):
        status, kind, body = get(address, path)
    assert (status, kind) == (200, "application/json")
    assert json.loads(body) == {
        "ok": True,
        "findings": [{"name": "executors", "ok": True, "detail": "went round 0.2 s ago"}],
    }


@pytest.mark.parametrize(("path", "other"), [("/livez", "/readyz"), ("/readyz", "/livez")])
def test_a_bad_finding_is_a_503_that_names_it_and_leaves_the_other_answer_alone(path: str, other: str) -> None:
    """A database that is away makes a process unready; restarting it for that would help nobody."""
    bad = (lambda: Finding("good", True, ""), lambda: Finding("bad", False, "hung for 31 s"))
    health = Health(live=bad) if path == "/livez" else Health(ready=bad)
    with serving(health) as (address, _):
        status, _, body = get(address, path)
        assert get(address, other)[0] == 200
    assert status == 503
    told = json.loads(body)
    assert told["ok"] is False
    assert [found["name"] for found in told["findings"] if not found["ok"]] == ["bad"]


def test_a_process_whose_threads_all_wait_for_something_is_still_alive() -> None:
    """A database or store that hangs is no reason to restart it: that would not help, and loses what is under way."""
    entered: list[None] = []
    over = threading.Event()

    def hangs() -> Finding:
        entered.append(None)
        over.wait(60)
        return Finding("database", True, "")

    with serving(Health(ready=(hangs,))) as (address, _):
        host, _, port = address.rpartition(":")
        waiting = [socket.create_connection((host, int(port)), timeout=10) for _ in range(60)]
        try:
            for one in waiting:
                one.sendall(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
            eventually(lambda: len(entered) >= 40, what="every thread waits")
            assert get(address, "/livez")[0] == 200
        finally:
            over.set()
            for one in waiting:
                one.close()


def test_readiness_follows_the_database(database: Database) -> None:
    up = True

    def ask() -> None:
        if not up:
            raise DatabaseUnavailable("connection refused")
        database.round_trip()

    with serving(Health(ready=(probe("database", ask),))) as (address, _):
        assert get(address, "/readyz")[0] == 200
        up = False
        status, _, body = get(address, "/readyz")
        assert (status, json.loads(body)["findings"][0]["detail"]) == (503, "database-unavailable: connection refused")
        up = True
        assert get(address, "/readyz")[0] == 200


def test_a_health_answer_must_not_be_cached() -> None:
    with serving() as (address, _):
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request("GET", "/livez")
        assert connection.getresponse().getheader("cache-control") == "no-store"
        connection.close()


def test_nothing_else_is_served() -> None:
    with serving() as (address, _):
        assert get(address, "/")[0] == 404
        assert get(address, "/livez", "POST")[0] == 405


# ---------------------------------------------------------------- metrics
def test_what_stands_in_sql_is_read_at_each_scrape(database: Database) -> None:
    with serving(counts=lambda: database.figures(0)) as (address, _):
        assert samples(address)["backstay_operations_ready"] == 0
        accept(database, "m1")
        database.inbox.accept([Rejected(b"{", "undecodable", "the body is not JSON")])
        after = samples(address)
    assert after['backstay_operations{kind="create-snapshot",state="QUEUED"}'] == 1
    assert after["backstay_operations_ready"] == 1
    assert after["backstay_dead_letters"] == 1
    assert after["backstay_database_up"] == 1


def test_counters_are_those_of_the_process_that_answers(database: Database) -> None:
    with (
        serving(counts=lambda: database.figures(0)) as (first, mine),
        serving(counts=lambda: database.figures(0)) as (second, _),
    ):
        mine.accepted(3)
        mine.duplicates(2)
        mine.rejected(1)
        mine.ended("create-snapshot", "succeeded")
        here, there = samples(first), samples(second)
    assert here['backstay_messages_total{result="accepted"}'] == 3
    assert here['backstay_messages_total{result="duplicate"}'] == 2
    assert here['backstay_messages_total{result="rejected"}'] == 1
    assert here['backstay_operations_ended_total{how="succeeded",kind="create-snapshot"}'] == 1
    assert there['backstay_messages_total{result="accepted"}'] == 0


def test_a_scrape_without_a_database_says_so_and_keeps_the_counters() -> None:
    with serving(counts=nothing_counted) as (address, metrics):
        metrics.accepted(1)
        status, kind, _ = get(address, "/metrics")
        found = samples(address)
    assert (status, kind) == (200, CONTENT_TYPE)
    assert found["backstay_database_up"] == 0
    assert found['backstay_messages_total{result="accepted"}'] == 1
    assert "backstay_operations_ready" not in found, "a gauge that nobody could read must not be 0"


def test_no_message_becomes_a_label_and_no_tenant_when_no_service_is_to_be_named(database: Database) -> None:
    """A label whose values never end would fill the memory of whatever scrapes it."""
    accept(database, "m-unique")
    with serving(counts=lambda: database.figures(0)) as (address, _):
        text = get(address, "/metrics")[2]
    assert "m-unique" not in text
    assert "acme" not in text


# ---------------------------------------------------------------- the address
def test_an_address_that_is_taken_is_a_sentence_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Refused, match=f"cannot listen on {address}") as refused:
            HttpServer(build_app(Health(), lambda: b""), address)
    assert "--http" in refused.value.next_step


@pytest.mark.parametrize("address", ["127.0.0.1:no-port", "nowhere.invalid:0", "127.0.0.1:70000"])
def test_an_address_that_cannot_be_is_refused_with_the_same_sentence(address: str) -> None:
    with pytest.raises(Refused, match="cannot listen on"):
        HttpServer(build_app(Health(), lambda: b""), address)


def test_a_stopped_server_has_given_its_address_back() -> None:
    with serving() as (address, _):
        assert get(address, "/livez")[0] == 200
    host, _, port = address.rpartition(":")
    HttpServer(build_app(Health(), lambda: b""), f"{host}:{port}").stop()
    with pytest.raises(ConnectionRefusedError):
        get(address, "/livez")
