"""An embedded node as a program of its own, for faults that are injected from outside: `HOME MESSAGE…`.

It ends when the messages have ended, and leaves without cleaning up.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from tests.chaos.victim import kill, live
from tests.chaos.world import all_over, settings_of

if __name__ == "__main__":
    home, *messages = sys.argv[1:]
    finished = partial(all_over, Path(home), tuple(messages))
    live(settings_of(Path(home)), finished, Path(home).parent / "injected.trace", None, None, kill, None)
