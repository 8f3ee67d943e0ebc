"""Threads that run one at a time, in an order and in a time that a seeded generator decides.

A thread works until it calls `turn`, `sleep` or `pause`; then the baton goes to whoever the generator draws among
those whose time has come. When nobody's has, virtual time jumps to the next one's. Nothing here knows what is run.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable


class Over(BaseException):
    """The simulation has ended: the thread unwinds without touching anything."""


class Stalled(Exception):
    """Nobody can ever run again."""


class Task:
    """One thread of the simulation; `wake_at` is when it may go on, in virtual seconds."""

    def __init__(self, name: str) -> None:
        self.name, self.wake_at, self.ended, self.stopped = name, 0.0, False, False
        self.gate = threading.Semaphore(0)
        self.thread: threading.Thread | None = None


class Schedule:
    """The baton and the clock. Made, and ended, by the thread that drives the simulation."""

    def __init__(self, draw: random.Random, passed: Callable[[], None]) -> None:
        """`passed` is called whenever virtual time has moved."""
        self.draw, self._passed = draw, passed
        self.now = 1000.0
        self.driver = self.current = Task("driver")
        self.tasks = [self.driver]
        self.switches = 0
        self.broken: list[str] = []  # threads that ended by themselves

    def start(self, name: str, work: Callable[[Task], None]) -> Task:
        """A new thread, which waits for its turn."""
        task = Task(name)

        def run() -> None:
            task.gate.acquire()
            try:
                if not task.stopped:
                    work(task)
            except Over:
                pass
            except BaseException as error:  # noqa: BLE001 - a thread that ends by itself is a finding
                self.broken.append(f"{task.name} ended by {type(error).__name__}: {error}")
            finally:
                task.ended = True
                successor = self.driver if task.stopped else self._choose()
                self.current = successor
                successor.gate.release()

        task.thread = threading.Thread(target=run, name=name, daemon=True)
        self.tasks.append(task)
        task.thread.start()
        return task

    def turn(self) -> None:
        """Let the generator decide who goes on."""
        task, successor = self.current, self._choose()
        self.switches += 1
        if successor is not task:
            self.current = successor
            successor.gate.release()
            task.gate.acquire()
        if task.stopped:
            raise Over

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass for the present thread; others may run meanwhile."""
        self.current.wake_at = self.now + max(0.0, seconds)
        self.turn()

    def stop(self, task: Task) -> None:
        """Unwind another thread; called by the driver."""
        if not task.ended:
            task.stopped = True
            self.current = task
            task.gate.release()
            self.driver.gate.acquire()
        if task.thread is not None:
            task.thread.join()

    def _choose(self) -> Task:
        alive = [task for task in self.tasks if not task.ended]
        ready = [task for task in alive if task.wake_at <= self.now]
        if not ready:
            at = min(task.wake_at for task in alive)
            if math.isinf(at):
                raise Stalled("everybody waits for ever")
            self.now = at
            self._passed()
            ready = [task for task in alive if task.wake_at <= self.now]
        return ready[0] if len(ready) == 1 else self.draw.choice(ready)


class SimClock:
    """The port Clock in virtual time, as one host has it: up for longer or shorter, and set right or wrong."""

    def __init__(self, schedule: Schedule, up: float = 0.0, wrong_by: float = 0.0) -> None:
        """`up`: seconds that this host has run longer than others; `wrong_by`: of its wall clock."""
        self._schedule, self._up, self._wrong_by = schedule, up, wrong_by

    def boottime(self) -> float:
        return self._schedule.now + self._up

    def wall_ms(self) -> int:
        return round((self._schedule.now + self._wrong_by) * 1000)

    def sleep(self, seconds: float) -> None:
        self._schedule.sleep(seconds)
