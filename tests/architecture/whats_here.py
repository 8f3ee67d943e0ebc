"""docs/whats-here.md against the tree: which files it lacks, and which of its lines have no file.

    python -m tests.architecture.whats_here          says what is missing and what is gone
    python -m tests.architecture.whats_here --add    also writes the page anew: lines that stand there stay as they
                                                     are, a new module gets the first sentence of its docstring

Apart from its test because `make whats-here` runs it too, for somebody who has just added a file.
"""

from __future__ import annotations

import ast
import itertools
import re
import sys
from collections import Counter

from tests.architecture.source import ROOT, tracked_files

PAGE = "docs/whats-here.md"
#: A line of the page: - `path` — what it is for.
ENTRY = re.compile(r"^- `(?P<path>[^`]+)` — (?P<about>\S.*)$")
TITLE = """# What's here

One line for every file. `make whats-here` says what is missing; `tests/architecture` fails when anything is.
"""


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


def present() -> list[str]:
    """The files that have something to say: an empty `__init__.py` has not."""
    return [path for path in tracked_files() if (ROOT / path).stat().st_size]


def found() -> list[str]:
    """The differences of the page as it is."""
    return differences([path for path, _ in entries((ROOT / PAGE).read_text(encoding="utf-8"))], present())


def first_sentence(source: str) -> str:
    """The first sentence of a module's docstring, on one line and without its full stop; empty without one."""
    opening = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].replace("\n", " ")
    return re.split(r"(?<=[a-z)`\d])\.(?: |$)", opening)[0]


def folder(path: str) -> str:
    """The heading of the page that a path stands under."""
    return path.rpartition("/")[0] or "the top"


def render(about: dict[str, str]) -> str:
    """The page: one heading for each folder, the top first, then by name."""
    ordered = sorted(about, key=lambda path: ("/" in path, folder(path), path))
    parts = [TITLE]
    for heading, paths in itertools.groupby(ordered, folder):
        parts.append("\n".join([f"## {heading}", "", *(f"- `{path}` — {about[path]}" for path in paths), ""]))
    return "\n".join(parts)


def add() -> None:
    """Write the page anew from its own lines and, for new modules, their docstrings."""
    said = dict(entries((ROOT / PAGE).read_text(encoding="utf-8")))
    about = {}
    for path in present():
        if path.endswith(".py") and path not in said:
            said[path] = first_sentence((ROOT / path).read_text(encoding="utf-8"))
        if said.get(path):
            about[path] = said[path]
    (ROOT / PAGE).write_text(render(about), encoding="utf-8")


if __name__ == "__main__":
    if "--add" in sys.argv[1:]:
        add()
    sentences = found()
    print("\n".join(sentences) or f"{PAGE} has a line for every file")
    sys.exit(bool(sentences))
