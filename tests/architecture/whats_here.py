"""docs/whats-here.md against the tree: which files it lacks, and which of its lines have no file.

Apart from its test because `make whats-here` runs it too, for somebody who has just added a file.
"""

from __future__ import annotations

import re
import sys
from collections import Counter

from tests.architecture.source import ROOT, tracked_files

PAGE = "docs/whats-here.md"
#: A line of the page: - `path` — what it is for.
ENTRY = re.compile(r"^- `(?P<path>[^`]+)` — (?P<about>\S.*)$")


def entries(text: str) -> list[tuple[str, str]]:
    """(path, what it is for) of each line of the page, in its order."""
    return [(match["path"], match["about"]) for line in text.splitlines() if (match := ENTRY.match(line))]


def differences(listed: list[str], present: list[str]) -> list[str]:
    """One sentence for each path that is missing, gone, or listed twice; empty when the page is complete."""
    counted = Counter(listed)
    return [
        *(f"missing from {PAGE}: {path}" for path in sorted(set(present) - set(listed))),
        *(f"listed in {PAGE} but gone: {path}" for path in sorted(set(listed) - set(present))),
        *(f"listed in {PAGE} more than once: {path}" for path in sorted(p for p, n in counted.items() if n > 1)),
    ]


def worth_a_line(path: str) -> bool:
    """Whether a file has something to say: an empty `__init__.py` has not."""
    return bool((ROOT / path).stat().st_size)


def found() -> list[str]:
    """The differences of the page as it is."""
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    return differences([path for path, _ in entries(text)], [path for path in tracked_files() if worth_a_line(path)])


if __name__ == "__main__":
    sentences = found()
    print("\n".join(sentences) or f"{PAGE} has a line for every file")
    sys.exit(bool(sentences))
