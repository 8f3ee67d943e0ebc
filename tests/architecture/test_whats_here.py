"""The map of the repository is the repository's."""

from __future__ import annotations

from tests.architecture.whats_here import differences, entries, first_sentence, found, render


def test_every_file_has_its_line_in_whats_here() -> None:
    sentences = found()
    assert not sentences, "\n".join(sentences)


def test_a_file_without_a_line_and_a_line_without_a_file_are_both_told() -> None:
    assert differences(["gone.py", "kept.py"], ["kept.py", "new.py"]) == [
        "missing from docs/whats-here.md: new.py",
        "listed in docs/whats-here.md but gone: gone.py",
    ]


def test_a_file_that_is_listed_twice_is_told() -> None:
    assert differences(["a.py", "a.py"], ["a.py"]) == ["listed in docs/whats-here.md more than once: a.py"]


def test_a_line_needs_to_say_something() -> None:
    assert entries("- `a.py` — does a\n- `b.py` — \n- c.py — no quotes\n") == [("a.py", "does a")]


def test_a_rendered_page_is_read_back_as_it_was() -> None:
    about = {"README.md": "what it is", "domain/a.py": "does a", "domain/b/c.py": "does c"}
    assert dict(entries(render(about))) == about


def test_a_new_module_is_proposed_by_its_first_sentence() -> None:
    assert first_sentence('"""Opens `x.y` and\nreads it. Refuses z."""') == "Opens `x.y` and reads it"
