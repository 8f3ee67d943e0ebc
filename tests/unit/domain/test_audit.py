"""Who acts: what of a name can stand in a source, and how it is read back"""

from __future__ import annotations

import pytest

from domain.audit import WAYS, Actor, actor_of, check_actor
from domain.errors import InvalidMessage


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["ann@host", "a b", "ops/eu-1", "Jörg"])
def test_a_source_tells_who_sent_it_and_by_which_way(way: str, name: str) -> None:
    assert actor_of(Actor(name, way).source()) == Actor(name, way)


@pytest.mark.parametrize("source", ["", "/console", "/console/eu-1", "/backstay/daily", "/backstay/ftp/ann"])
def test_other_sources_are_no_person(source: str) -> None:
    assert actor_of(source) is None


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 129])
def test_a_name_that_no_table_can_show_is_refused(name: str) -> None:
    with pytest.raises(InvalidMessage):
        check_actor(name)
