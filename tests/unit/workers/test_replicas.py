"""How replicas are written in the settings, and which mistakes are found early."""

from __future__ import annotations

import pytest

from workers.config import ConfigError, load, shown
from workers.replicas import parse_replicas


@pytest.mark.parametrize("text", ["b=file:///b, c=s3://bucket/p", '{"b": "file:///b", "c": "s3://bucket/p"}'])
def test_both_notations_name_stores_in_order(text: str) -> None:
    assert list(parse_replicas(text).items()) == [("b", "file:///b"), ("c", "s3://bucket/p")]


@pytest.mark.parametrize(
    "text",
    ["b", "b=http://x", "b=file:///b,b=file:///c", "b=file:///b,c=file:///b", "B b=file:///b", '{"b": 1}', "{", "[]"],
)
def test_what_could_not_be_told_apart_or_opened_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"replica|must|Expecting"):
        parse_replicas(text)


def test_the_store_is_no_replica_of_itself_and_a_policy_is_one_of_two() -> None:
    wrong = {"BACKSTAY_STORE_URL": "file:///s", "BACKSTAY_REPLICAS": "b=file:///s", "BACKSTAY_REPLICA_POLICY": "any"}
    with pytest.raises(ConfigError) as found:
        load(wrong)
    assert len(found.value.problems) == 2


def test_addresses_of_replicas_are_not_shown() -> None:
    settings = load({"BACKSTAY_REPLICAS": "b=s3://key:secret@host/bucket"})
    assert not any("secret@" in row[1] for row in shown(settings))
