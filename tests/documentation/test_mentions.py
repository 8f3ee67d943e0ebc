"""Whatever pages, errors, alerts and screens tell somebody to type exists."""

from __future__ import annotations

import re

import pytest

from tests.documentation.mentions import ROOT, fault, mentions, pages


def test_every_command_that_is_mentioned_anywhere_exists_with_its_options() -> None:
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


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("operations explian X", "`backstay operations` has no command explian"),
        ("operations list --stat STUCK", "`backstay operations list` has no option --stat"),
        ("operations list --state STUCK | jq", None),
        ("snapshots restore SNAPSHOT_ID|--at TIME [--path PATH]…", None),
        ("operations", None),
    ],
)
def test_a_command_that_does_not_exist_is_noticed(text: str, trouble: str | None) -> None:
    assert fault(text) == trouble
