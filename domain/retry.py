"""Every retry policy in one place: seconds inside a call (tenacity), minutes between attempts (the row)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import tenacity

from domain.contracts.clock import Clock
from domain.errors import Weather
from domain.operation import Budget

#: How long an operation rests, in milliseconds, when what it needs was sealed with a key that is not to be had here.
KEY_REST_MS = 5 * 60_000


def backoff_ms(budget: Budget, attempts: int, draw: random.Random) -> int:
    """Full jitter: uniform over 0 .. min(cap, base * 2**attempts), in milliseconds.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    ceiling = min(budget.backoff_cap, budget.backoff_base * 2 ** min(attempts, 30))
    return round(draw.uniform(0, ceiling) * 1000)


def within_call(*, seconds: float, first_wait: float = 0.1, longest_wait: float = 2.0) -> tenacity.Retrying:
    """Retry `Weather` inside one call, with jitter, for at most `seconds` in total; then raise it."""
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Weather),
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_exponential_jitter(multiplier=first_wait, max=longest_wait),
        reraise=True,
    )


def region_call(*, seconds: float, tries: int, clock: Clock, again: Callable[[Any], bool]) -> tenacity.Retrying:
    """Repeat one region call while `again(answer)` holds, at most `tries` times; none begins after `seconds`.

    The last answer is returned, whatever it is: what it means is the caller's to decide. Exponential with
    jitter from a tenth of a second; there is no second layer of retries beneath (urllib3 has none).
    """
    ends = clock.boottime() + seconds  # tenacity's own measure of time cannot be injected
    return tenacity.Retrying(
        retry=tenacity.retry_if_result(again),
        stop=lambda state: state.attempt_number >= tries or clock.boottime() >= ends,
        wait=tenacity.wait_exponential_jitter(multiplier=0.1, max=2.0, jitter=0.1),
        sleep=clock.sleep,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
