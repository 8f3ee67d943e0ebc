"""Figures, times and states in words: every page says the same thing the same way, and nothing hides in a text."""

from __future__ import annotations

import pytest

from domain.operation import State, StepState
from domain.snapshot import SnapshotState
from workers.web.pages import wording


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1 s"),
        (61_000, "1 min 1 s"),
        (3_600_000, "1 h"),
        (3_605_000, "1 h"),
        (90_000_000, "1 day 1 h"),
        (172_800_000, "2 days"),
    ],
)
def test_a_length_of_time_has_its_two_largest_units(milliseconds: int, said: str) -> None:
    assert wording.span(milliseconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(None, "–"), (0, "0 bytes"), (999, "999 bytes"), (1_400, "1.4 kB"), (64_512, "64.5 kB"), (7.3e12, "7.3 TB")],
)
def test_bytes_have_the_unit_that_people_compare_with(count: float | None, said: str) -> None:
    assert wording.size(count) == said


@pytest.mark.parametrize("known", [*State, *StepState, *SnapshotState])
def test_every_state_has_a_word_a_tone_and_a_sign(known: object) -> None:
    word, tone, sign = wording.state(known)
    assert word == word.lower() and tone in {"ok", "run", "warn", "bad", "quiet"} and len(sign) == 1


def test_no_two_states_of_an_operation_look_alike() -> None:
    seen = [wording.state(state)[0] for state in State]
    assert len(set(seen)) == len(seen)


def test_a_state_that_is_not_known_is_shown_as_it_is() -> None:
    assert wording.state("SOMETHING_FAILED") == ("something failed", "bad", "✕")


@pytest.mark.parametrize("hidden", ["\x1b", "\u202e", "\u200b", "\x00"])
def test_what_a_browser_would_hide_or_turn_round_becomes_a_sign(hidden: str) -> None:
    assert wording.visible(f"a{hidden}b\nc") == "a\N{REPLACEMENT CHARACTER}b\nc"


@pytest.mark.parametrize(
    ("progress", "percent"),
    [
        (None, None),
        ({"bytes_done": 5}, None),
        ({"bytes_done": 5, "bytes_total": 0}, None),
        ({"bytes_done": 1, "bytes_total": 3}, 33),
        ({"bytes_done": 9, "bytes_total": 3}, 100),
        ({"files_done": 1, "files_total": 2}, 50),
    ],
)
def test_a_share_is_told_only_when_the_whole_is_known(progress: dict[str, int] | None, percent: int | None) -> None:
    assert wording.share(progress) == percent


def test_a_sentence_begins_with_a_capital_and_a_name_stays_as_it_is() -> None:
    assert wording.sentence("it failed") == "It failed"
    assert wording.sentence("data.labels: is no field") == "data.labels: is no field"


def test_an_id_is_shortened_where_ids_differ() -> None:
    one, two = (f"0192f0c1-0000-7000-8000-00000000000{n}" for n in (1, 2))
    assert wording.short(one) != wording.short(two)
    assert wording.short("blog") == "blog"
