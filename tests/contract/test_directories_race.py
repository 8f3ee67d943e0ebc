"""Two services that are given overlapping directories at once: one of them is refused, whoever writes it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from domain.errors import Refused
from domain.outcome import SaveService
from domain.service import Service
from tests.contract.sql_bench import Bench
from tests.contract.two_sessions import stopped_before, waits


def test_a_directory_around_one_that_is_being_given_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """I26: a restore of the outer one would replace the inner one's data."""
    inner, outer = bench.running("inner"), bench.running("outer")
    with ThreadPoolExecutor(2) as pool, stopped_before("settle.before-commit", monkeypatch) as (there, go_on):
        first = pool.submit(bench.succeed, inner, SaveService(Service("inner", "acme", "inner", "a/b", node="n1")))
        assert there.wait(30)
        second = pool.submit(bench.succeed, outer, SaveService(Service("outer", "acme", "outer", "a", node="n1")))
        waits(bench, second)
        go_on.set()
        first.result(30)
        with pytest.raises(Refused) as refused:
            second.result(30)
    assert refused.value.code == "directory-taken"
    assert bench.database.services.get("outer") is None
