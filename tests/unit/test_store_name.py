"""The name of a store is given once, whoever gives it and whoever dies meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.objects.file import FileStore
from storage.store_name import give_name, name_of
from tests.dying import killed


@pytest.mark.parametrize(("point", "named"), [("store-id.before-create", False), ("store-id.after-create", True)])
def test_killed_while_naming_a_store_it_has_one_name_or_none(tmp_path: Path, point: str, named: bool) -> None:
    store = FileStore(str(tmp_path))
    killed(point, lambda: give_name(store))
    left = name_of(store)
    assert (left is not None) == named
    given = give_name(store)
    assert given == name_of(store) == (left or given)
