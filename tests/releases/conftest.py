"""One process of the previous release for all tests of a run, and an empty installation for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.releases.previous import Previous
from tests.releases.site import Site


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Previous]:
    """The previous release."""
    opened = Previous(tmp_path_factory.mktemp("previous"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def empty(previous: Previous, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an installation as the previous release has set it up."""
    built = Site(tmp_path_factory.mktemp("empty") / "home", previous)
    code, said = previous.command(built.environ("old-1"), "migrate")
    assert code == 0, said
    return built.home


@pytest.fixture(scope="session")
def used(previous: Previous, empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a service and its first snapshot, both by the previous release."""
    built = Site(Path(shutil.copytree(empty, tmp_path_factory.mktemp("used") / "home")), previous)
    node = built.older("old-1")
    # A configuration that the present release refuses, because of the field that it does not know.
    configuration = {"image": "shop:1.4", "envs": [{"name": "A", "value": "1"}], "colour": "blue"}
    built.wait(
        built.register("shop", "old-1", configuration=configuration),
        built.send("create-snapshot", "shop", "first", labels=["owner:42"]),
    )
    node.kill()
    return built.home


@pytest.fixture
def used_site(previous: Previous, used: Path, tmp_path: Path) -> Site:
    """A copy of the used one."""
    return Site(Path(shutil.copytree(used, tmp_path / "home", symlinks=True)), previous)


@pytest.fixture
def site(previous: Previous, empty: Path, tmp_path: Path) -> Site:
    """A copy of it."""
    return Site(Path(shutil.copytree(empty, tmp_path / "home")), previous)
