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
        self.granted: list[int] = []
        self.story: list[str] = []

    def happens(self, name: str, where: str = "") -> bool:
        """Whether the fault that was drawn takes place."""
        number, self._number = self._number, self._number + 1
        if number in self._withheld:
            return False
        self.fired[name] += 1
        self.granted.append(number)
        self.tell(f"FAULT {name} {where}".rstrip())
        return True

    def tell(self, line: str) -> None:
        """A line of the story that is no fault."""
        self.story.append(f"{self._when()}  {line}")
