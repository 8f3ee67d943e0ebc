"""The broker of a simulation, and the real intake and the real relay in front of it.

A message is delivered late, out of order, and again until it is acknowledged, sometimes afterwards too. An event that
is told may not arrive, or arrive without the relay hearing so. Apart from the world because a broker outlives workers.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import handlers
from domain.contracts import Clock
from domain.errors import BrokerUnavailable
from storage.sql import Database
from tests.simulation.faults import Faults
from tests.simulation.schedule import Schedule, Task
from workers.ingress import Ingress
from workers.judge import judge_with
from workers.relay import Relay

JUDGE = judge_with(handlers.subscriptions())
#: Virtual seconds until an unacknowledged message is delivered again.
REDELIVERY = 30.0
#: How many relays and intakes there are; each dies and comes back.
POSTMEN = 2


@dataclass(slots=True)
class Letter:
    """One delivery that is still to be made."""

    name: str
    body: bytes
    due: float


class Delivery:
    """What kombu calls a message, as far as intake looks at it."""

    def __init__(self, post: Post, letter: Letter) -> None:
        self._post, self._letter = post, letter
        self.body, self.content_type = letter.body, "application/cloudevents+json"
        self.headers: dict[str, Any] = {}
        self.channel = object()

    def ack(self) -> None:
        """The broker forgets it."""
        self._post.acknowledged(self._letter)


class Post:
    """Commands on their way in, events on their way out."""

    def __init__(self, schedule: Schedule, database: Database, faults: Faults, draw: random.Random) -> None:
        self._schedule, self._database, self._faults, self._draw = schedule, database, faults, draw
        self._letters: list[Letter] = []
        self._waiting: list[Task] = []
        self.calm = False
        self.told: Counter[str] = Counter()
        self.loss, self.repeat = (draw.choice((0.0, 0.05, 0.2)) for _ in range(2))

    # ------------------------------------------------------------ commands
    def publish(self, name: str, event: dict[str, Any]) -> None:
        """As a publisher does; delivered at some time, and maybe twice from the beginning."""
        self._put(
            Letter(name, json.dumps(event).encode(), self._schedule.now + self._draw.choice((0.0, 0.0, 2.0, 40.0)))
        )

    def open(self) -> int:
        """How many messages are not acknowledged."""
        return len(self._letters)

    def acknowledged(self, letter: Letter) -> None:
        """It is gone, unless this is the broker's day for repeating itself."""
        if letter in self._letters:
            self._letters.remove(letter)
        if (
            not self.calm
            and self._draw.random() < self.repeat
            and self._faults.happens("redelivered", "command", letter.name)
        ):
            self._put(Letter(letter.name, letter.body, self._schedule.now + self._draw.choice((1.0, 60.0, 900.0))))

    def take(self) -> list[Delivery]:
        """What is due, in any order; it is due again after a while unless somebody acknowledges it."""
        due = [letter for letter in self._letters if letter.due <= self._schedule.now]
        self._draw.shuffle(due)
        for letter in due:
            letter.due = self._schedule.now + REDELIVERY
        return [Delivery(self, letter) for letter in due]

    def _put(self, letter: Letter) -> None:
        self._letters.append(letter)
        for task in self._waiting:
            task.wake_at = min(task.wake_at, letter.due)

    def intake(self, task: Task, clock: Clock) -> None:
        """One life of one intake; ends by raising."""
        ingress = Ingress(
            "simulation://", self._database.inbox, JUDGE, on_accepted=lambda *_: None, backlog_limit=1000, clock=clock
        )
        connection: Any = SimpleNamespace(transport=SimpleNamespace(driver_type="simulation"))
        while True:
            for delivery in self.take():
                ingress._take(delivery)
            while ingress._flush(connection):
                pass
            if ingress._buffer:  # the database was away: the batch waits
                self._schedule.sleep(1.0)
                continue
            task.wake_at = min((letter.due for letter in self._letters), default=self._schedule.now + 300.0)
            self._waiting.append(task)
            self._schedule.turn()
            self._waiting.remove(task)

    # ------------------------------------------------------------ events
    def relay(self, task: Task, clock: Clock) -> None:
        """One life of one relay; ends by raising."""
        relay = Relay("simulation://", self._database.outbox, clock=clock)
        relay._publisher = cast(Any, SimpleNamespace(event=self._event))
        idle, stopping = 1.0, threading.Event()
        while True:
            try:
                idle = 1.0 if relay._tell(stopping) else min(60.0, 2 * idle)
            except BrokerUnavailable:
                idle = 1.0
            self._schedule.sleep(self._draw.uniform(0.5, idle))

    def _event(self, payload: dict[str, Any], routing_key: str) -> None:
        fault = not self.calm and self._draw.random() < self.loss
        lost = self._draw.random() < 0.5
        if fault and self._faults.happens("event-lost" if lost else "event-unconfirmed", "event", routing_key):
            if not lost:
                self.told[str(payload["id"])] += 1
            raise BrokerUnavailable("the broker did not take the message")
        self.told[str(payload["id"])] += 1
        self._schedule.turn()
