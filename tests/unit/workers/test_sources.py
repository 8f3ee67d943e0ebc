"""What a node is told about sources and hooks: every mistake at once, and no value quoted."""

from __future__ import annotations

import json
import re

import pytest

from domain.source import HookSettings, SourceKind
from workers.sources import parse_hooks, parse_places, parse_sources


def test_sources_are_programs_and_volumes_by_name() -> None:
    found = parse_sources(
        json.dumps({"db": {"kind": "command", "save": ["dump", "{service}"]}, "disk": {"kind": "volume", "path": "/v"}})
    )
    assert (found["db"].save, found["db"].restore, found["db"].seconds) == (("dump", "{service}"), (), 3600.0)
    assert (found["disk"].kind, found["disk"].path) == (SourceKind.VOLUME, "/v")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"db": {"kind": "tape"}}, "db.kind: must be command or volume"),
        ({"db": {"kind": "command", "save": "rm -rf /"}}, "db.save: must be a list of texts"),
        ({"db": {"kind": "command"}}, "db.save: must be a list"),
        ({"db": {"kind": "command", "save": ["a"], "path": "/x"}}, "db.path: is no setting of a command"),
        ({"db": {"kind": "volume", "path": "x"}}, "db.path: must be an absolute path"),
        ({"db": {"kind": "volume", "path": "/x", "seconds": 0}}, "db.seconds: must be"),
        ({"../db": {"kind": "volume", "path": "/x"}}, "../db: "),
        ([], "must be an object"),
    ],
)
def test_a_source_that_cannot_be_meant_is_refused(table: object, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)) as refused:
        parse_sources(json.dumps(table))
    assert "rm -rf" not in str(refused.value)


def test_hooks_are_programs_around_the_work() -> None:
    assert parse_hooks("{}") == HookSettings()
    assert parse_hooks('{"before_snapshot": ["freeze"], "seconds": 5}') == HookSettings(("freeze",), seconds=5.0)
    with pytest.raises(ValueError, match=r"before_lunch: is no setting of hooks; after_restore: must be a list"):
        parse_hooks('{"before_lunch": ["eat"], "after_restore": "thaw"}')


def test_a_place_says_whom_it_is_for() -> None:
    places = parse_places(
        '{"old": {"url": "file:///srv", "tenants": ["acme"]}, "all": {"url": "s3://b", "tenants": ["*"]}}'
    )
    assert [place.is_open_to("acme") for place in places.values()] == [True, True]
    assert [place.is_open_to("rival") for place in places.values()] == [False, True]


@pytest.mark.parametrize(
    "table",
    [
        '{"url": "file:///srv"}', '{"url": "file:///srv", "tenants": []}', '{"url": "file:///srv", "tenants": "acme"}',
        '{"url": "file:///srv", "tenants": [7]}', '{"url": "file:///srv", "tenants": ["A b"]}',
        '{"url": "http://x", "tenants": ["acme"]}', '{"url": "file:///srv", "tenants": ["acme"], "more": 1}', '"x"',
    ],
)  # fmt: skip
def test_a_place_that_is_for_nobody_in_particular_is_refused(table: str) -> None:
    with pytest.raises(ValueError, match="old"):
        parse_places(f'{{"old": {table}}}')
