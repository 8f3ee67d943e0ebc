"""A sample of `make fuzz` without a fuzzer: seeds, what was found before, and each of them changed a little.

So that no target rots between two long runs, and that what was mended stays so.
"""

from __future__ import annotations

import importlib
import logging
import random

import pytest

from tests.fuzz import TARGETS, web
from tests.fuzz.target import Target, changed, found

#: Changes of each seed; a long run has millions.
TIMES = {"stored": 30, "messages": 10, "archives": 3, "texts": 20, "web": 2}


def _target(name: str) -> Target:
    found = importlib.import_module(f"tests.fuzz.{name}").TARGET
    assert isinstance(found, Target) and found.name == name
    return found


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.filterwarnings("ignore:Possible :FutureWarning")  # a pattern that a later Python may read otherwise
def test_whatever_is_read_is_read_or_refused(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """RS-15, I18: no other error, no hang, and no password in a sentence."""
    caplog.set_level(logging.CRITICAL)  # a server tells of each request that is none
    target = _target(name)
    draw = random.Random(f"{name}-1")
    for seed in [*target.seeds(), *target.known()]:
        target.one(seed)
        for data in changed(seed, draw, TIMES[name]):
            target.one(data)
    target.lives()


def test_every_whole_request_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    """A server that answers nothing at all would give no wrong answer either."""
    caplog.set_level(logging.CRITICAL)
    silent = [seed for seed in web.TARGET.seeds() if not web.statuses(seed)]
    assert not silent


def test_what_was_found_is_of_a_target() -> None:
    assert {name for name, _ in found()} <= set(TARGETS)
