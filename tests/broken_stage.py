"""The stage of `backstay demo --broken` as tests stand on it: everything is broken, and the node runs.

Apart from `site`, which is an installation without a worker and without faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command_line import CommandLine
from workers.demo.broken import set_up
from workers.demo.premises import NODE, Site
from workers.demo.region import Region


@contextmanager
def broken_site(home: Path) -> Iterator[Site]:
    """All breakages, with the node started again after them."""
    with Region() as region:
        made = Site(home, region)
        set_up(made)
        made.start(NODE)
        yield made
        made.close()


@contextmanager
def command_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """Commands as the operator types them there: which node it is, the configuration file says."""
    made = CommandLine(site.home, monkeypatch)
    monkeypatch.delenv("BACKSTAY_NODE")
    yield made
    made.system.close()
