"""What tenants are told: fit to be passed on unread, for every command and every end, and no more than is true."""

from __future__ import annotations

import re

import pytest

import handlers
from domain.errors import Cancelled, DeadlineExceeded, Refused
from domain.operation import Operation, State
from domain.outcome import Item, Outcome
from domain.tenant_sentence import REASONS, is_known, tenant_sentence
from tests.architecture.source import modules

KINDS = sorted(handlers.subscriptions())
#: What an operator needs and a tenant must never see.
DETAIL = "node n7 of region eu-1: s3://bucket/key is gone, env SECRET=abc, op 0f1e"


def ended(kind: str, **data: object) -> Operation:
    return Operation(1, "op-1", "/console", "m1", kind, "acme", "web-77", State.RUNNING, dict(data))


def ends() -> list[Outcome]:
    error = Refused(DETAIL, code="something-new", next_step=DETAIL)
    return [
        Outcome.succeeded(DETAIL),
        Outcome.succeeded(DETAIL, items=(Item(DETAIL, "left-out", DETAIL),)),
        Outcome.failed(error),
        Outcome.cancelled(Cancelled(DETAIL)),
        Outcome.cancelled(DeadlineExceeded(DETAIL)),
        Outcome(State.ROLLED_BACK, DETAIL, code="unhealthy"),
        Outcome(State.STUCK, DETAIL, code="undo-failed"),
        Outcome(State.SUCCEEDED, DETAIL, code="resolved-by-operator", complete=False),
        Outcome(State.ROLLED_BACK, DETAIL, code="resolved-by-operator", complete=False),
    ]


def test_every_command_has_words_of_its_own() -> None:
    assert not [kind for kind in KINDS if not is_known(kind)]


@pytest.mark.parametrize("kind", [*KINDS, "clone-service"])
def test_every_end_is_told_in_short_sentences_without_detail_or_jargon(kind: str) -> None:
    for outcome in ends():
        told = tenant_sentence(ended(kind), outcome)
        assert re.fullmatch(r"[A-Z][^.]*\.( [A-Z][^.]*\.)?", told), told
        assert len(told) < 160
        assert not re.search(r"eu-1|n7|s3:|SECRET|0f1e|web-77|op-1|[a-z]+-[a-z]+-[a-z]+|\bnull\b|None", told), told


def test_what_failed_was_not_changed_and_what_was_rolled_back_was() -> None:
    failed = tenant_sentence(ended("upgrade-service"), Outcome.failed(Refused("x", code="version-held")))
    assert failed == "The upgrade failed; nothing was changed. This version is on hold."
    back = tenant_sentence(ended("upgrade-service"), Outcome(State.ROLLED_BACK, "x", code="unhealthy"))
    assert back == (
        "The upgrade failed; everything was put back as it was. The new version did not become healthy in time."
    )


def test_a_cancel_after_the_first_effect_says_that_it_was_put_back() -> None:
    assert tenant_sentence(ended("restore-snapshot"), Outcome(State.ROLLED_BACK, "x", code="cancelled")) == (
        "The restore was cancelled; everything was put back as it was."
    )


def test_what_an_operator_alone_can_mend_is_said_to_be_theirs() -> None:
    told = tenant_sentence(ended("create-snapshot"), Outcome.failed(Refused("x", code="poison")))
    assert told == "The snapshot failed; nothing was changed. Our operators can see why."


def test_a_dry_run_is_not_told_as_done() -> None:
    told = tenant_sentence(ended("restore-snapshot", dry_run=True), Outcome.succeeded("x"))
    assert told == "The restore was only tried out; nothing was changed."


def test_that_something_belongs_to_another_tenant_is_not_told() -> None:
    told = tenant_sentence(ended("restore-snapshot"), Outcome.failed(Refused("x", code="wrong-tenant")))
    assert told.endswith("There is no such service or snapshot.")


def test_every_reason_is_for_a_code_that_something_gives() -> None:
    """A code that was renamed would silently become the operators' business."""
    text = "".join(module.text for module in modules() if module.path != "domain/tenant_sentence.py")
    assert not [code for code in REASONS if f'"{code}"' not in text]
