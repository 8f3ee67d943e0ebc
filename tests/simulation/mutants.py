"""Bugs planted on purpose: a harness that does not see them would prove nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

MUTANTS: dict[str, str] = {}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The product with that bug; with none when `name` is empty."""
    with pytest.MonkeyPatch.context() as patch:
        if name:
            _PLANT[name](patch)
        yield


_PLANT: dict = {}
