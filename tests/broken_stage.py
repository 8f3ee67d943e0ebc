"""The stage of `backstay demo --broken` as tests stand on it: everything is broken, and the node runs.

Apart from `site`, which is an installation without a worker and without faults. Both functions are bodies of fixtures,
which the files that need them name and give their scope.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.command_line import CommandLine
from workers.demo.broken import set_up
from workers.demo.premises import NODE, Site
from workers.demo.region import Region


def broken_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All breakages, with the node started again after them."""
    with Region() as region:
        made = Site(tmp_path_factory.mktemp("broken"), region)
        set_up(made)
        made.start(NODE)
        yield made
        made.close()


def command_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """Commands as the operator types them there: which node it is, the configuration file says."""
    made = CommandLine(site.home, monkeypatch)
    monkeypatch.delenv("BACKSTAY_NODE")
    yield made
    made.system.close()
