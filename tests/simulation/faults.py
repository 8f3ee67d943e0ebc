"""What goes wrong in one seed, numbered in the order of happening, so that a failing story can be made shorter.

Apart from the places that draw faults because each is decided twice: the seed draws it, and then it may be withheld.
A run with some of its faults withheld is as reproducible as the whole one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable


class Faults:
    """Asked by whoever has drawn a fault; remembers what was granted."""

    def __init__(self, when: Callable[[], str], withheld: frozenset[int] = frozenset()) -> None:
        """`when()` says what time it is and whose turn; `withheld`: numbers of faults that do not happen."""
        self._when, self._withheld = when, withheld
        self._number = 0
        self.fired: Counter[str] = Counter()
        #: What has happened and where, each once: the kind of the fault, and the failpoint or call that it struck.
        self.places: set[tuple[str, str]] = set()
        self.granted: list[int] = []
        self.story: list[str] = []

    def happens(self, name: str, place: str, details: str = "") -> bool:
        """Whether the fault that was drawn takes place. `place` is a failpoint, or a call of the region or the broker,
        under a name that it has in every seed; `details` are of this one, for the story."""
        number, self._number = self._number, self._number + 1
        if number in self._withheld:
            return False
        self.fired[name] += 1
        self.places.add((name, place))
        self.granted.append(number)
        self.tell(f"FAULT {name} {place} {details}".rstrip())
        return True

    def tell(self, line: str) -> None:
        """A line of the story that is no fault."""
        self.story.append(f"{self._when()}  {line}")
