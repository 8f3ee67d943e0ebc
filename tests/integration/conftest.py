"""An intake on a broker of each kind, in front of a door that only writes down who came."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import handlers
from tests.fakes.door import FakeDoor
from tests.waiting import eventually
from workers.clock import SystemClock
from workers.ingress import Ingress
from workers.judge import judge_with


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor()


@pytest.fixture
def intake(border_url: str, door: FakeDoor) -> Iterator[Ingress]:
    judge = judge_with(handlers.subscriptions())
    made = Ingress(border_url, door, judge, on_accepted=lambda *_: None, backlog_limit=1000, clock=SystemClock())
    made.start()
    eventually(made.connected, what="intake is connected")
    yield made
    made.stop(timeout=60)
