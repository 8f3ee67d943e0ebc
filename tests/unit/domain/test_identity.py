"""Names from messages end up in paths, keys and SQL: what is refused before any of those."""

from __future__ import annotations

import pytest

from domain.errors import InvalidMessage
from domain.identity import Subject, check_id, check_name, tenant_named

HOSTILE = [
    "",
    ".",
    "..",
    "../../etc",
    "a/b",
    "A",
    "a" * 64,
    "a" * 300,
    "a:b",
    "a b",
    "a\n",
    "a\0",
    "-a",
    ".hidden",
    "é",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_could_be_more_than_one_path_component_is_refused(name: str) -> None:
    """RS-19: refused before any I/O."""
    with pytest.raises(InvalidMessage):
        check_name(name, "service")


@pytest.mark.parametrize("name", ["web", "0", "a.b-c_d", "a" * 63, "0192f0c17c9a7c3fb7a5d5e2c1a0b9f8"])
def test_ordinary_names_are_accepted(name: str) -> None:
    assert check_name(name, "service") == name


def test_the_subject_names_tenant_and_service() -> None:
    assert Subject.parse("tenant/acme/service/web") == Subject("acme", "web")


@pytest.mark.parametrize(
    "text",
    ["", "tenant/acme", "tenant/acme/service/", "tenant//service/web", "tenant/a/service/b/c", "x/tenant/a/service/b"],
)
def test_a_subject_of_another_shape_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        Subject.parse(text)
    assert refusal.value.field == "subject"


def test_a_subject_with_a_hostile_service_is_refused_by_its_field() -> None:
    """RS-19."""
    with pytest.raises(InvalidMessage) as refusal:
        Subject.parse("tenant/acme/service/..")
    assert refusal.value.field == "subject"


def test_the_subject_reads_back_as_it_was_written() -> None:
    text = "tenant/acme/service/web"
    assert str(Subject.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "tenant"),
    [
        ("tenant/acme/service/web", "acme"),
        ("tenant/acme/services/web", "acme"),
        ("tenant/acme/", "acme"),
        ("tenant/acme", None),
        ("tenant/Acme/service/web", None),
        ("tenant/../service/web", None),
        ("x/tenant/acme/service/web", None),
        ("", None),
        (None, None),
    ],
)
def test_whose_a_subject_is_can_be_told_when_the_rest_is_wrong(text: str | None, tenant: str | None) -> None:
    assert tenant_named(text) == tenant


@pytest.mark.parametrize("text", ["", "../../etc", "0192F0C1-7C9A-7C3F-B7A5-D5E2C1A0B9F8", "0192f0c1", "x" * 36])
def test_an_id_that_is_not_a_uuid_in_canonical_form_is_refused(text: str) -> None:
    """RS-19: an id becomes part of an object key."""
    with pytest.raises(InvalidMessage):
        check_id(text, "snapshot_id")
