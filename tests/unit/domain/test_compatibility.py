"""The computed view for tools that parse rosti's keys."""

from __future__ import annotations

from domain.compatibility import key, metadata
from domain.snapshot import Consistency, Label, Snapshot, SnapshotState

ID = "0192f0c1-7c9a-7c3f-b7a5-d5e2c1a0b9f8"


def snapshot(*labels: str) -> Snapshot:
    return Snapshot(
        ID, "acme", "web", SnapshotState.AVAILABLE, 1_700_000_000_999, "key", "digest", 10, 7, 1, Consistency.STABLE,
        ("data",), labels=tuple(map(Label.parse, labels)),
    )  # fmt: skip


def test_the_key_has_four_fields_with_the_index_value_third() -> None:
    """RS-01."""
    assert key(snapshot("owner:42"), "owner") == f"web:{ID}:42:1700000000"


def test_without_the_index_label_the_third_field_is_a_dash() -> None:
    """RS-02."""
    assert key(snapshot("reason:x"), "owner").split(":")[2] == "-"


def test_the_last_of_several_index_labels_wins_and_all_are_kept() -> None:
    """RS-02."""
    both = snapshot("owner:1", "owner:2")
    assert key(both, "owner").split(":")[2] == "2"
    assert metadata(both)["labels"][:2] == ["owner:1", "owner:2"]


def test_a_value_with_colons_and_slashes_does_not_add_fields() -> None:
    """RS-04."""
    assert key(snapshot("owner:a:b/c"), "owner").split(":") == ["web", ID, "a%3Ab%2Fc", "1700000000"]


def test_the_metadata_names_app_time_and_exactly_one_size() -> None:
    """RS-01, RS-03."""
    found = metadata(snapshot("owner:42"))
    assert found == {"uuid": ID, "app_name": "web", "ts": 1_700_000_000, "labels": ["owner:42", "size:7"]}
