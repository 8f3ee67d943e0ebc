"""An archive whose time is over while somebody keeps it longer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from domain.outcome import AddSnapshot, ExtendExport, SaveExport
from domain.snapshot import Export
from tests.contract.sql_bench import Bench, snapshot
from tests.contract.two_sessions import stopped_before, waits


def test_what_is_kept_longer_does_not_go_with_what_is_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outcome says until when it can be fetched."""
    bench.make(AddSnapshot(snapshot("s1")), SaveExport(Export("s1", "acme", "exports/a", 9, "ab", bench.now + 60_000)))
    renewing = bench.running("renewing")
    bench.now += 60_000
    change = ExtendExport("s1", "exports/a", bench.now + 60_000)
    with ThreadPoolExecutor(2) as pool, stopped_before("settle.before-commit", monkeypatch) as (there, go_on):
        first = pool.submit(bench.succeed, renewing, change)
        assert there.wait(30)
        second = pool.submit(bench.database.catalogue.expire_exports)
        waits(bench, second)
        go_on.set()
        first.result(30)
        assert second.result(30) == 0
    found = bench.database.catalogue.export_of("s1")
    assert found is not None and found.expires_at == change.expires_at
    assert bench.database.catalogue.garbage(10) == []
