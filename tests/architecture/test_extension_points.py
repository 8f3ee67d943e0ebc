"""One new file is one new message type, and one new object store: nothing else has to be edited.

The files dropped here live in a folder of their own that joins the package's path, so that the checkout stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import handlers
import storage.objects
from storage.store import open_store

CLONE_SERVICE = '''
"""Make a second service from a snapshot of the first."""
from domain.outcome import Outcome
from domain.subscription import Subscription
from handlers import Name, Payload

class CloneService(Payload):
    target: Name

def handle(command, context):
    return Outcome.succeeded(f"cloned to {command.target}")

subscription = Subscription(CloneService, handle)
'''
NOWHERE = '''
"""Keeps nothing."""
from storage.backend import Backend

class Nowhere:
    def __init__(self, url, rule):
        self.url = url

backend = Backend(open=Nowhere)
'''

Drop = Callable[[ModuleType, str, str], None]


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drop]:
    """Put a file into a package for the length of one test."""
    dropped: list[tuple[ModuleType, str]] = []

    def put(package: ModuleType, name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        dropped.append((package, name))

    yield put
    for package, name in dropped:
        sys.modules.pop(f"{package.__name__}.{name}", None)
        vars(package).pop(name, None)


def test_a_file_in_handlers_is_a_message_type(drop: Drop) -> None:
    drop(handlers, "clone_service", CLONE_SERVICE)
    found = handlers.subscriptions()
    assert handlers.parse(found["clone-service"], {"target": "shop-2"}).target == "shop-2"


def test_the_other_message_types_do_not_notice(drop: Drop) -> None:
    before = set(handlers.subscriptions())
    drop(handlers, "clone_service", CLONE_SERVICE)
    assert set(handlers.subscriptions()) == before | {"clone-service"}


def test_a_file_in_objects_is_a_url_scheme(drop: Drop) -> None:
    drop(storage.objects, "nowhere", NOWHERE)
    assert type(open_store("nowhere://far/away")).__name__ == "Nowhere"


def test_a_file_that_declares_nothing_is_refused_with_its_name(drop: Drop) -> None:
    drop(handlers, "notes", '"""Only thoughts."""\n')
    with pytest.raises(TypeError, match=r"handlers\.notes must define `subscription`"):
        handlers.subscriptions()
