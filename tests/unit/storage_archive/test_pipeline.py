"""Channels and crews: whatever ends one end, both ends know at once and no thread stays."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from domain import pulse
from storage.archive.pipeline import Channel, Crew, LeftEarly, StreamAborted

#: Whoever waits for the other end in vain hangs.


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


class Cause(Exception):
    """The failure that a test plants."""


Work = Callable[[Channel[int]], None]


def _endless(channel: Channel[int]) -> None:
    while True:
        channel.put(1)


def _drain(channel: Channel[int]) -> None:
    for _ in channel:
        pass


def _nothing(channel: Channel[int]) -> None:
    """The caller only waits."""


def _operate(consume: Work, produce: Work = _endless, caller: Work = _nothing) -> None:
    """One operation: a consumer and a producer in threads, and what the caller does itself."""
    with Crew() as crew:
        channel: Channel[int] = crew.channel(1)
        crew.start("consumer", partial(consume, channel), consumes=channel)
        crew.start("producer", partial(produce, channel))
        caller(channel)


def test_whoever_waits_for_bandwidth_hears_that_another_has_failed() -> None:
    waits, never = threading.Event(), threading.Event()

    def send(channel: Channel[int]) -> None:
        for _ in channel:
            while not never.wait(0.001):
                waits.set()
                pulse.beat()

    def fail(channel: Channel[int]) -> None:
        channel.put(1)
        assert waits.wait(60)
        raise Cause

    with pytest.raises(Cause):
        _operate(send, fail)


def test_everything_put_is_taken_in_order_and_then_it_ends() -> None:
    taken: list[int] = []
    with Crew() as crew:
        channel: Channel[int] = crew.channel(2)
        crew.start("consumer", lambda: taken.extend(channel), consumes=channel)
        for number in range(100):
            channel.put(number)
        channel.finish()

    assert taken == list(range(100))
    assert channel.drained()


def test_a_producer_that_raises_is_the_operations_error() -> None:
    """FZ-05"""
    seen: list[BaseException] = []

    def produce(channel: Channel[int]) -> None:
        channel.put(1)
        raise Cause("disk on fire")

    def consume(channel: Channel[int]) -> None:
        try:
            _drain(channel)
        except StreamAborted as error:
            seen.append(error)
            raise

    with pytest.raises(Cause, match="disk on fire") as caught:
        _operate(consume, produce)

    assert [type(error) for error in seen] == [StreamAborted]
    assert any("produce" in str(entry) for entry in caught.traceback)


def test_a_producer_that_leaves_by_system_exit_fails_the_operation() -> None:
    """FZ-06"""

    def produce(channel: Channel[int]) -> None:
        raise SystemExit(1)

    with pytest.raises(LeftEarly, match="SystemExit"):
        _operate(_drain, produce)


def test_a_consumer_that_raises_releases_a_waiting_producer() -> None:
    """FZ-07"""

    def consume(channel: Channel[int]) -> None:
        channel.take()
        raise Cause

    with pytest.raises(Cause):
        _operate(consume)


def test_a_consumer_that_returns_early_fails_the_operation() -> None:
    """FZ-07"""

    def consume(channel: Channel[int]) -> None:
        channel.take()

    with pytest.raises(LeftEarly, match="consumer returned before"):
        _operate(consume, caller=_endless)


def test_the_callers_own_failure_ends_the_threads_and_goes_on_as_it_is() -> None:
    def caller(channel: Channel[int]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _operate(_drain, caller=caller)


def test_a_failed_channel_refuses_at_once_even_with_room() -> None:
    channel: Channel[int] = Channel(10)
    channel.put(1)
    channel.fail(Cause("why"))

    with pytest.raises(StreamAborted, match="why") as caught:
        channel.put(2)
    assert isinstance(caught.value.__cause__, Cause)
    with pytest.raises(StreamAborted):
        channel.take()
    with pytest.raises(StreamAborted):
        channel.finish()
    assert not channel.drained()


def test_a_finished_channel_drains_and_takes_nothing_more() -> None:
    channel: Channel[int] = Channel(10)
    channel.put(1)
    channel.finish()

    with pytest.raises(RuntimeError):
        channel.put(2)
    assert list(channel) == [1]
    assert channel.take() is None


def test_whoever_waits_is_asked_whether_to_go_on() -> None:
    """A cancel must be noticed while the store is slow."""
    channel: Channel[int] = Channel(1)
    channel.put(1)

    def stop() -> None:
        raise Cause("cancelled")

    with pytest.raises(Cause, match="cancelled"):
        channel.put(2, stop)
    assert channel.take() == 1
    with pytest.raises(Cause, match="cancelled"):
        channel.take(stop)


def test_the_first_failure_counts_and_later_ones_are_noted() -> None:
    crew = Crew()
    crew.fail(Cause("first"))
    crew.fail(Cause("second"))
    crew.fail(StreamAborted("an echo"))

    with pytest.raises(Cause, match="first") as caught:
        crew.join()
    assert caught.value.__notes__ == ["then also: Cause: second"]


def test_a_channel_never_holds_more_than_its_capacity() -> None:
    """FZ-04"""
    most, held, mutex = 0, 0, threading.Lock()

    def consume() -> None:
        nonlocal held
        for _ in channel:
            with mutex:
                held -= 1

    with Crew() as crew:
        channel: Channel[int] = crew.channel(3)
        crew.start("consumer", consume, consumes=channel)
        for number in range(2000):
            channel.put(number)
            with mutex:
                held += 1
                most = max(most, held)
        channel.finish()

    assert most <= 3 + 2  # one in the consumer's hand, one in ours
