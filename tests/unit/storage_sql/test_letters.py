"""Fingerprints: equal for the same cause, whatever ids, numbers and values the sentence quotes."""

from __future__ import annotations

import pytest

from storage.sql.letters import fingerprint

TRACE = 'Traceback\n  File "/opt/{0}/handlers/act.py", line {1}, in handle\n    f()\nValueError: bad value {2}'


def test_the_same_frame_and_error_are_the_same_cause() -> None:
    one = fingerprint("act", "bug", "x", TRACE.format("a", 10, "one"))
    other = fingerprint("act", "bug", "y", TRACE.format("b", 99, "two"))
    assert one == other


@pytest.mark.parametrize("trace", [TRACE.replace("handle", "undo"), TRACE.replace("ValueError", "KeyError")])
def test_another_frame_or_error_is_another_cause(trace: str) -> None:
    assert fingerprint("act", "bug", "", TRACE) != fingerprint("act", "bug", "", trace)


def test_ids_numbers_and_quoted_values_of_a_sentence_do_not_count() -> None:
    one = fingerprint("act", "x", "snapshot 0192f0c1-0000-7000-8000-000000000001 of 'a' has 3 files")
    other = fingerprint("act", "x", "snapshot 0192f0c1-0000-7000-8000-00000000beef of 'b' has 44 files")
    assert one == other


@pytest.mark.parametrize(("kind", "code"), [("act", "y"), ("other", "x")])
def test_another_kind_or_code_is_another_cause(kind: str, code: str) -> None:
    assert fingerprint("act", "x", "no") != fingerprint(kind, code, "no")


def test_any_text_has_a_fingerprint() -> None:
    assert len(fingerprint(None, None, "\ud800\0")) == 16
