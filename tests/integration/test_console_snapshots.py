"""What pages say of a snapshot's health: no more than was looked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from domain.outcome import AddSnapshot, MarkSound, Outcome
from tests.contract.sql_bench import snapshot
from tests.integration.test_console import Person
from tests.site import Site, site

LEVELS = ("", "exists", "hash", "restore-test")


def named(level: str) -> str:
    return f"0192f0c1-0000-7000-8000-00000000000{LEVELS.index(level)}"


@pytest.fixture(scope="module")
def anna(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody who looks at one snapshot of each level, the first of which nobody has verified."""
    with site(tmp_path_factory.mktemp("snapshots") / "data") as made:
        _filled(made)
        yield Person(made, "viewer")


def _filled(made: Site) -> None:
    path = "/api/v1/tenants/acme/services/web/create-snapshot"
    assert made.ask("POST", path, made.token("api", everywhere="admin"), data={}).status == 202
    added = [AddSnapshot(snapshot(named(level), service_id=f"of-{level or 'none'}")) for level in LEVELS]
    looks = [MarkSound(named(level), level, 0) for level in LEVELS if level]
    made.system.database.ledger.settle(made.claim(), Outcome.succeeded("done", changes=(*added, *looks)))


@pytest.mark.parametrize(
    ("level", "said"),
    [
        ("", "When it was made, every pack was found with its size, and the manifest read back."),
        ("exists", "at level <strong>exists</strong>: every pack was found with its size"),
        ("hash", "at level <strong>hash</strong>, and every byte was right."),
        ("restore-test", "at level <strong>restore-test</strong>, and every byte was right."),
    ],
)
def test_only_who_has_read_every_byte_says_that_each_was_right(anna: Person, level: str, said: str) -> None:
    page = anna.get(f"/snapshots/{named(level)}").text
    assert said in page
    read = level in ("hash", "restore-test")
    assert ("every byte was right" in page) is read
    assert ("Its data has not been read back yet" in page) is not read


@pytest.mark.parametrize("level", LEVELS)
def test_the_list_calls_read_back_what_was(anna: Person, level: str) -> None:
    page = anna.get(f"/snapshots?service=of-{level or 'none'}").text
    cell = page.partition('<td data-label="read back">')[2].partition("</td>")[0]
    assert ("<time" in cell) is (level in ("hash", "restore-test"))
