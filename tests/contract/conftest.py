"""What every contract over SQL begins with: the bench on each database.

Apart from the bench because a fixture is found by where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.sql_bench import Bench


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    """On the database that the test is run on."""
    with Bench.opened(database_url) as opened:
        yield opened
