"""Real processes on one database: no operation twice, order per service, one at a time, and one migration."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from storage.sql import open_database
from tests.contract.sql_bench import FlippingSealer, accepted

ROOT = Path(__file__).parents[2]
SERVICES, PER_SERVICE = 6, 15


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _finish(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output.splitlines()


@pytest.fixture
def queue_url(database_url: str) -> str:
    """A queue of FIFO work for two nodes, some of it bound to one of them."""
    database = open_database(database_url, FlippingSealer())
    database.migrate()
    items = []
    for number in range(PER_SERVICE):
        for service in range(SERVICES):
            node = {0: "n1", 1: "n2"}.get(service)
            items.append(accepted(f"{service}-{number}", f"s{service}", node=node))
    database.inbox.accept(items)
    database.close()
    return database_url


def test_two_processes_do_each_operation_once_and_in_order(queue_url: str) -> None:
    """I1, I7, I11. Fences count the holders of a service, so their order is the order of the work."""
    racers = [_start("-m", "tests.contract.racer", queue_url, node) for node in ("n1", "n2")]
    done = [json.loads(line) for racer in racers for line in _finish(racer)]
    by_service: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for message_id, service, fence in done:
        by_service[service].append((fence, message_id))
    assert len(done) == SERVICES * PER_SERVICE
    for service, entries in by_service.items():
        number = service.removeprefix("s")
        assert sorted(entries) == [(n + 1, f"{number}-{n}") for n in range(PER_SERVICE)]


def test_every_operation_of_the_race_told_its_end_once(queue_url: str) -> None:
    """I5"""
    for racer in [_start("-m", "tests.contract.racer", queue_url, node) for node in ("n1", "n2")]:
        _finish(racer)
    database = open_database(queue_url, FlippingSealer())
    told = [event.op_id for event in database.outbox.take(1000, 60_000)]
    database.close()
    assert len(told) == len(set(told)) == SERVICES * PER_SERVICE


def test_nodes_that_migrate_at_once_all_succeed(database_url: str) -> None:
    code = (
        "import sys; from storage.sql import open_database; from tests.contract.sql_bench import FlippingSealer;"
        "d = open_database(sys.argv[1], FlippingSealer()); d.migrate(); print(d.check_schema())"
    )
    for process in [_start("-c", code, database_url) for _ in range(3)]:
        assert _finish(process) == ["None"]
