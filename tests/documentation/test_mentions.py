"""Whatever pages, errors, alerts and screens tell somebody to type exists."""

from __future__ import annotations

import re

import pytest

from tests.documentation.mentions import ROOT, fault, mentions, pages


def test_every_command_that_is_mentioned_anywhere_can_be_typed() -> None:
    found = list(mentions())
    assert len(found) > 200
    wrong = [f"{one.where}: backstay {one.text}: {trouble}" for one in found if (trouble := fault(one.text))]
    assert not wrong, "\n".join(wrong)


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages()
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_invariant_that_a_test_cites_is_on_the_page() -> None:
    listed = set(re.findall(r"^\| ([IL]\d+) \|", (ROOT / "docs" / "invariants.md").read_text(), re.MULTILINE))
    cited = {
        f"{path.relative_to(ROOT)}: {number}"
        for path in (ROOT / "tests").rglob("*.py")
        for number in re.findall(r"\b[IL]\d{1,2}\b", path.read_text(encoding="utf-8"))
        if number not in listed
    }
    assert cited == set()


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("operations explian X", "`backstay operations` has no command explian"),
        ("operations list --stat STUCK", "`backstay operations list` has no option --stat"),
        ("operations list --state STUCK | jq", None),
        ("snapshots restore SNAPSHOT_ID|--at TIME [--path PATH]…", None),
        ("snapshots restore --service S --target-node N", "`backstay snapshots restore` lacks one of at, snapshot_id"),
        ("snapshots create {service.service_id}", "`backstay snapshots create` takes no VALUE"),
        ("snapshots create --label A:B", "`backstay snapshots create` lacks one of service, subject"),
        ("schedules set NAME --cron CRON (--service S \\| --tenant T) [--catch-up none\\|one]", None),
        ("schedules set NAME (--service S \\| --tenant T)", "`backstay schedules set` lacks --cron"),
        ("operations move --to NODE", "`backstay operations move` lacks operation_id"),
        ("worker --http", "`backstay worker` is refused: Option '--http' requires an argument."),
        ("worker", None),
        ("publish rollback … --wait", None),
        ("operations explain ID --json | jq '.story'", None),
        ("operations", None),
    ],
)
def test_a_command_that_cannot_be_typed_is_noticed(text: str, trouble: str | None) -> None:
    assert fault(text) == trouble
