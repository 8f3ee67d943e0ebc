"""Kill -9 on either side of the commit of every act that is one transaction: it has happened whole, or not at all."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from domain.errors import BackstayError
from storage.sql import open_database
from storage.sql.tables import metadata
from tests.chaos.acts import ACTS
from tests.contract.sql_bench import Bench, FlippingSealer
from tests.dying import killed

#: Ids are drawn, and so are the services that stand for whoever arranged something: only that there is one is compared.
DRAWN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|desk-[0-9]+")
#: Acts of which each one counts.
COUNTED = ("audit",)


class Desk:
    """A database in which an act is arranged."""

    def __init__(self, path: Path, empty: Path, name: str) -> None:
        shutil.copy(empty, path)
        with Bench.opened(f"sqlite:///{path}") as bench:
            self._bench, self._act = bench, ACTS[name](bench)
        self.arranged = self.rows()

    def do(self) -> None:
        """The act, by somebody who has just come."""
        database = open_database(self._bench.url, FlippingSealer(), clock_ms=lambda: self._bench.now)
        self._act(database)
        database.close()

    def rows(self) -> dict[str, list[str]]:
        """By table: everything that is there, but what was drawn."""
        database = open_database(self._bench.url, FlippingSealer())
        with database._engine.connect() as connection:
            found = {
                table.name: sorted(_plain(tuple(row)) for row in connection.execute(select(table)))
                for table in metadata.sorted_tables
            }
        database.close()
        return found


def _plain(row: tuple[Any, ...]) -> str:
    return DRAWN.sub("an id", repr([len(value) if isinstance(value, bytes) else value for value in row]))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema and nothing in it, which takes longer than an act."""
    path = tmp_path_factory.mktemp("empty") / "backstay.db"
    with Bench.opened(f"sqlite:///{path}"):
        return path


@pytest.mark.parametrize("name", ACTS)
def test_whoever_is_killed_at_an_act_has_done_all_of_it_or_nothing_and_it_can_be_repeated(
    name: str, empty: Path, tmp_path: Path
) -> None:
    """L2, I2: the second time by another process, which does not know of the first."""
    before, after = (Desk(tmp_path / side, empty, name) for side in ("before", "after"))
    killed(f"{name}.before-commit", before.do)
    assert before.rows() == before.arranged
    before.do()
    whole = before.rows()
    assert whole != before.arranged, "the act changes nothing"

    killed(f"{name}.after-commit", after.do)
    assert after.rows() == whole
    if name not in COUNTED:
        with contextlib.suppress(BackstayError):  # who has lost the claim, or finds the name taken, is told
            after.do()
        assert after.rows() == whole
