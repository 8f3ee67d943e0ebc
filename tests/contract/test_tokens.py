"""Tokens and sessions on both databases: what opens, until when, and that no secret is kept."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from domain.audit import Actor
from domain.contracts import Token
from domain.errors import NotFound, Refused
from tests.contract.sql_bench import Bench

ANNA = Actor("anna", "cli")
HOUR = 3_600


def make(bench: Bench, name: str = "ci", digest: str = "d1", seconds: int | None = None) -> Token:
    return bench.database.tokens.create(name, digest, {"acme": "operator"}, ANNA, seconds)


def test_a_token_is_found_by_its_digest_with_its_roles(bench: Bench) -> None:
    made = make(bench)
    found = bench.database.tokens.find("d1")
    assert found is not None and (found.token_id, found.name, found.roles) == (
        made.token_id,
        "ci",
        {"acme": "operator"},
    )
    assert bench.database.tokens.find("d2") is None


def test_a_token_ends_with_its_time(bench: Bench) -> None:
    make(bench, seconds=HOUR)
    bench.now += HOUR * 1000 - 1
    assert bench.database.tokens.find("d1") is not None
    bench.now += 1
    assert bench.database.tokens.find("d1") is None


def test_a_revoked_token_opens_nothing_at_once_nor_do_its_sessions(bench: Bench) -> None:
    tokens = bench.database.tokens
    made = make(bench)
    tokens.begin_session("s1", made.token_id, HOUR)
    assert tokens.session("s1", HOUR) is not None
    assert tokens.revoke(made.token_id, ANNA) is True
    assert tokens.find("d1") is None and tokens.session("s1", HOUR) is None
    assert tokens.revoke(made.token_id, ANNA) is False, "the second one changes nothing"
    (listed,) = tokens.list()
    assert listed.revoked_by == "anna" and listed.revoked_at is not None
    with pytest.raises(NotFound):
        tokens.revoke("absent", ANNA)


def test_two_usable_tokens_never_have_one_name_and_a_name_is_free_again_afterwards(bench: Bench) -> None:
    first = make(bench, seconds=HOUR)
    with pytest.raises(Refused, match="a token named ci already") as refused:
        make(bench, digest="d2")
    assert refused.value.code == "token-name-taken"
    bench.now += HOUR * 1000
    second = make(bench, digest="d2")
    bench.database.tokens.revoke(second.token_id, ANNA)
    third = make(bench, digest="d3")
    assert [token.token_id for token in bench.database.tokens.list()] == [
        third.token_id,
        second.token_id,
        first.token_id,
    ]


def test_a_session_ends_with_its_time_with_idleness_and_when_it_is_ended(bench: Bench) -> None:
    tokens = bench.database.tokens
    made = make(bench)
    for digest in ("s1", "s2", "s3"):
        tokens.begin_session(digest, made.token_id, 3 * HOUR)
    tokens.end_session("s3")
    assert tokens.session("s3", HOUR) is None
    bench.now += HOUR * 1000 - 1
    assert tokens.session("s1", HOUR) is not None, "used in time, and so it goes on"
    bench.now += HOUR * 1000 - 1
    assert tokens.session("s1", HOUR) is not None
    assert tokens.session("s2", HOUR) is None, "idle for too long"
    bench.now += HOUR * 1000 - 1
    assert tokens.session("s1", HOUR) is not None
    bench.now += 3
    assert tokens.session("s1", HOUR) is None, "three hours, however much it was used"
    assert tokens.expire_sessions() == 2
    assert tokens.expire_sessions() == 0


def test_a_use_is_noted_once_a_minute_at_most(bench: Bench) -> None:
    tokens = bench.database.tokens
    make(bench)
    began = bench.now
    tokens.find("d1")
    bench.now += 59_000
    tokens.find("d1")
    assert tokens.list()[0].last_used_at == began
    bench.now += 1_000
    tokens.find("d1")
    assert tokens.list()[0].last_used_at == bench.now


def test_making_and_revoking_a_token_are_in_the_audit_trail_without_its_digest(bench: Bench) -> None:
    made = make(bench, digest="the-digest")
    bench.database.tokens.revoke(made.token_id, ANNA)
    revoked, created = bench.database.audit.list()
    assert (created.action, revoked.action) == ("token.create", "token.revoke")
    assert {created.actor, revoked.actor} == {"anna"}
    with bench.database._engine.connect() as connection:
        rows = connection.execute(text("SELECT subject, detail FROM audit")).all()
    assert "the-digest" not in str(rows)
