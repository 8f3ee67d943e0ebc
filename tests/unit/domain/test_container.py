"""Sections of a snapshot beside its files: everything is saved, little is taken back, nothing is guessed."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import container
from domain.configuration import Configuration
from domain.container import Contents
from domain.errors import Refused
from domain.service import Service

DOCUMENT = Configuration(items={"image": {"image": {"value": "shop:1"}}}, origin={"version": "1"}).document()
SHOP = Service("web", "acme", "shop", "web", node="n1", retention={"keep_last": 3}, document=DOCUMENT, generation=7)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_a_record_and_a_configuration_become_sections_under_one_version() -> None:
    """CN-01: nothing but the version, the sections that have data, and what could not be saved."""
    packed = container.pack(SHOP, DOCUMENT)
    assert set(packed) == {"version", "sections", "omitted"} and packed["omitted"] == []
    assert packed["sections"]["configuration"] == DOCUMENT
    assert packed["sections"]["service"] == {
        "service_id": "web", "tenant_id": "acme", "alias": "shop", "directory": "web", "node": "n1",
        "retention": {"keep_last": 3}, "rpo_seconds": 0, "rpo_since": 0,
    }  # fmt: skip


def test_what_json_cannot_say_is_left_out_and_named() -> None:
    """CN-02"""
    packed = container.pack(SHOP, DOCUMENT | {"opened": {1, 2}, "stream": object()})
    assert container.omitted(packed) == ("configuration.opened", "configuration.stream")
    assert packed["sections"]["configuration"] == DOCUMENT
    json.dumps(packed)


def test_only_what_the_version_lists_is_taken_back() -> None:
    """CN-03: a field or section that nobody knows is ignored, a missing section leaves the target's own."""
    packed = container.pack(SHOP, DOCUMENT | {"tomorrow": 1})
    packed["sections"]["weather"] = {"rain": True}
    found = container.unpack(packed)
    assert found == Contents("shop", DOCUMENT)
    target = dataclasses.replace(SHOP, alias="web", directory="elsewhere", node="n9", retention={}, document={})
    assert container.applied(target, found) == dataclasses.replace(target, alias="shop", document=DOCUMENT)
    del packed["sections"]["configuration"], packed["sections"]["service"]
    assert container.applied(target, container.unpack(packed)) == target


@pytest.mark.parametrize("version", [2, 99, 0, -1, "1", None, True, 1.0, [1]])
def test_a_version_that_is_not_known_is_refused(version: Any) -> None:
    """CN-04"""
    with pytest.raises(Refused) as raised:
        container.unpack(container.pack(SHOP, DOCUMENT) | {"version": version})
    newer = type(version) is int and version > 1
    assert raised.value.code == ("configuration-too-new" if newer else "configuration-unreadable")


@pytest.mark.parametrize(
    "sections",
    [
        [], None, "text", {"service": []}, {"configuration": 3}, {"configuration": {"schema": 2}},
        {"configuration": DOCUMENT | {"schema": True}}, {"configuration": DOCUMENT | {"schema": 2}},
        {"configuration": DOCUMENT | {"items": []}}, {"configuration": DOCUMENT | {"origin": 1}},
        {"configuration": DOCUMENT | {"rest": None}},
    ],
)  # fmt: skip
def test_sections_of_another_shape_are_refused(sections: Any) -> None:
    """CN-04"""
    with pytest.raises(Refused):
        container.unpack({"version": 1, "sections": sections})


@pytest.mark.parametrize(
    ("given_name", "saved", "becomes"),
    [("web", "shop", "shop"), ("mine", "shop", "mine"), ("web", None, "web"), ("", "shop", "shop"), ("web", 7, "web")],
)
def test_a_name_that_somebody_gave_stays(given_name: str, saved: Any, becomes: str) -> None:
    """CN-05: a service that nobody named bears its id."""
    packed = container.pack(SHOP, DOCUMENT)
    packed["sections"]["service"]["alias"] = saved
    target = dataclasses.replace(SHOP, alias=given_name)
    assert container.applied(target, container.unpack(packed)).alias == becomes


def test_the_name_by_which_a_region_knows_a_service_is_never_taken_over() -> None:
    """CN-05: calls would reach another service."""
    target = dataclasses.replace(SHOP, alias="web", region="north")
    assert container.applied(target, container.unpack(container.pack(SHOP, DOCUMENT))).alias == "web"


def test_a_document_from_before_there_were_containers_is_read() -> None:
    assert container.unpack(DOCUMENT) == Contents(document=DOCUMENT)
    assert container.unpack({"image": "shop:1", "version": "2"}) == Contents(
        document={"image": "shop:1", "version": "2"}
    )
    with pytest.raises(Refused):
        container.unpack(DOCUMENT | {"schema": 2})


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_what_json_can_say_comes_back_from_the_store(rest: dict[str, Any]) -> None:
    document = DOCUMENT | {"rest": rest}
    assert container.unpack(json.loads(json.dumps(container.pack(SHOP, document)))).document == document


@given(VALUES, VALUES)
def test_whatever_a_manifest_says_is_read_or_refused(version: Any, sections: Any) -> None:
    """CN-04: no other error leaves the reader."""
    try:
        found = container.unpack({"version": version, "sections": sections})
    except Refused:
        return
    assert type(version) is int and version == 1 and isinstance(found, Contents)
