"""The exit codes that scripts rely on: a change here is a change of the public contract."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import (
    BackstayError,
    BrokerUnavailable,
    Damaged,
    DatabaseUnavailable,
    InvalidMessage,
    NotFound,
    Refused,
    WrongTenant,
)
from workers.cli.exits import Exit, of_error, of_outcome


def test_the_numbers_never_change() -> None:
    assert {code.name: code.value for code in Exit} == {
        "OK": 0, "FAILED": 1, "USAGE": 2, "PARTIAL": 3, "ROLLED_BACK": 4, "NOT_FOUND": 10, "BUSY": 11,
        "NOT_ALLOWED": 12, "VERIFY_FAILED": 13, "UNKNOWN": 14, "TRY_LATER": 75, "UNFIT": 78,
        "INTERRUPTED": 130, "TERMINATED": 143,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidMessage("x"), 2),
        (NotFound("x"), 10),
        (WrongTenant("x"), 12),
        (DatabaseUnavailable("x"), 75),
        (BrokerUnavailable("x"), 75),
        (Refused("x"), 1),
        (Damaged("x"), 1),
    ],
)
def test_an_error_has_the_code_of_what_it_means(error: BackstayError, code: int) -> None:
    assert of_error(error) == code


def outcome(name: str, code: str | None = None, complete: bool = True) -> dict[str, Any]:
    return {"outcome": name, "code": code, "complete": complete}


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (outcome("succeeded"), 0),
        (outcome("succeeded", complete=False), 3),
        (outcome("rolled-back", "region-refused"), 4),
        (outcome("failed", "region-refused"), 1),
        (outcome("failed", "snapshot-damaged"), 13),
        (outcome("failed", "verify-failed"), 13),
        (outcome("cancelled", "cancelled"), 1),
        (outcome("stuck", "region-refused"), 1),
        (outcome("failed", "not-found"), 10),
        (outcome("failed", "unknown-service"), 10),
        (outcome("failed", "unknown-operation"), 10),
        (outcome("failed", "snapshot-not-found"), 10),
        (outcome("failed", "directory-not-found"), 10),
        (outcome("failed", "wrong-tenant"), 12),
    ],
)
def test_an_outcome_decides_the_code_of_a_command_that_waited(document: dict[str, Any], code: int) -> None:
    assert of_outcome(document) == code
