"""Threads and bounded channels that fail together, at once, at both ends.

Apart from what flows through them, so that the rules can be tested with toys. The first failure of any
thread, `SystemExit` and an early return included, is the failure of the whole: every channel refuses from
then on, every waiting thread wakes, and leaving the `with` block joins all threads before that failure is
raised. Nothing may be committed before `with` was left, or `drained` was seen, without one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from domain.pulse import during

T = TypeVar("T")

#: Seconds after which a thread that waits looks whether its operation may go on.
PULSE_SECONDS = 0.25


class StreamAborted(Exception):
    """The other end, or another thread of the crew, has failed; its failure is the one to report."""


class LeftEarly(RuntimeError):
    """A thread ended without taking everything, or by `SystemExit`."""


class Channel(Generic[T]):
    """A bounded queue with an end: open -> finished, or open -> failed. Both are final."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._failure: BaseException | None = None

    def put(self, item: T, pulse: Callable[[], None] | None = None) -> None:
        """Add an item, waiting for room; `pulse` is called while it waits and may raise.

        Raises StreamAborted at once when the channel has failed, even when there is room.
        """
        with self._changed:
            while len(self._items) >= self._capacity and self._failure is None:
                if not self._changed.wait(PULSE_SECONDS) and pulse is not None:
                    pulse()
            self._check()
            if self._finished:
                raise RuntimeError("put after finish")
            self._items.append(item)
            self._changed.notify_all()

    def take(self, pulse: Callable[[], None] | None = None) -> T | None:
        """The next item, waiting for one; None when finished and drained. Raises StreamAborted."""
        with self._changed:
            while not self._items and not self._finished and self._failure is None:
                if not self._changed.wait(PULSE_SECONDS) and pulse is not None:
                    pulse()
            self._check()
            if not self._items:
                return None
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def __iter__(self) -> Iterator[T]:
        while (item := self.take()) is not None:
            yield item

    def finish(self) -> None:
        """No more items will come."""
        with self._changed:
            self._check()
            self._finished = True
            self._changed.notify_all()

    def fail(self, cause: BaseException) -> None:
        """Drop what is queued; from now on both ends get StreamAborted."""
        with self._changed:
            if self._failure is None:
                self._failure = cause
                self._items.clear()
            self._changed.notify_all()

    def drained(self) -> bool:
        """Finished, and everything was taken."""
        with self._changed:
            return self._finished and not self._items and self._failure is None

    def _check(self) -> None:
        if self._failure is not None:
            raise StreamAborted(str(self._failure)) from self._failure


class Crew:
    """Threads that work for one operation. Use it as a context manager."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._failure: BaseException | None = None
        self._channels: list[Channel[Any]] = []
        self._threads: list[threading.Thread] = []

    def channel(self, capacity: int) -> Channel[Any]:
        """A channel that fails with the crew."""
        made: Channel[Any] = Channel(capacity)
        self._channels.append(made)
        return made

    def start(self, name: str, work: Callable[[], None], consumes: Channel[Any] | None = None) -> None:
        """Run `work` in a thread. It must not return before `consumes` is finished and empty."""

        def run() -> None:
            with _Reporting(self), during(self._go_on):
                work()
                if consumes is not None and not consumes.drained():
                    raise LeftEarly(f"{name} returned before it had taken everything")

        thread = threading.Thread(target=run, name=f"archive-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def fail(self, error: BaseException) -> None:
        """Record the failure; only the first counts, echoes of it are not failures."""
        with self._mutex:
            if self._failure is None:
                self._failure = error
            elif not isinstance(error, StreamAborted) and error is not self._failure:
                self._failure.add_note(f"then also: {type(error).__name__}: {error}")
        for channel in self._channels:
            channel.fail(error)

    def wait(self, name: str, pulse: Callable[[], None]) -> None:
        """Wait for the threads whose name begins with `name`; `pulse` is called meanwhile and may raise.
        Raises StreamAborted if anything has failed."""
        for thread in self._threads:
            while thread.name.startswith(f"archive-{name}") and thread.is_alive():
                thread.join(PULSE_SECONDS)
                pulse()
        if self._failure is not None:
            raise StreamAborted(str(self._failure)) from self._failure

    def _go_on(self) -> None:
        """For a thread that waits for bandwidth, which would come too late for an operation that has failed."""
        if self._failure is not None:
            raise StreamAborted(str(self._failure)) from self._failure

    def join(self) -> None:
        """Wait for all threads; raise the first failure, if there was one."""
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        failure = self._failure
        if failure is None:
            return
        if isinstance(failure, Exception):
            raise failure
        raise LeftEarly(f"a thread of the archive left by {type(failure).__name__}") from failure

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.fail(error)
        if error is not None and self._failure is error:
            for thread in self._threads:
                thread.join()
            return  # the body's own failure goes on as it is
        self.join()


class _Reporting:
    """Ends a thread quietly: whatever ended its work, `SystemExit` included, is the crew's to raise."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self._crew.fail(error)
        return True
