"""One platform, with or without a region, with one running node per module; tests use services of their own names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.platform import Platform
from tests.acceptance.shop import Names, template
from tests.acceptance.stage import Stage


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = Platform(tmp_path_factory.mktemp("platform"))
    made.start("web-1")
    yield made
    made.close()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """With a region that honours fences; a module that needs another one makes it itself."""
    made = Stage(tmp_path_factory.mktemp("stage"), fenced=True)
    made.platform.start("web-1")
    made.publish_version(template(), "v2.0")
    yield made
    made.close()


@pytest.fixture
def names(stage: Stage) -> Names:
    """The services of the worked example, registered and told to an otherwise empty region."""
    stage.region.reset()
    found = Names()
    stage.install(found)
    return found
