"""What docs/operations.md tells operators to search for and to alert on exists, and nothing that exists is left out."""

from __future__ import annotations

import ast
import fnmatch
import functools
import re
from pathlib import Path

from tests.fakes.figures import FIGURES
from workers.metrics import Metrics

ROOT = Path(__file__).parent.parent.parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
#: Command-line programs say what they do on the screen; what they log is in docs/cli.md.
NOT_A_NODE = ROOT / "workers" / "cli"


def exported() -> set[str]:
    metrics = Metrics(lambda: FIGURES, lambda: 0.0)
    metrics.watch_intake({"connected": lambda: True})
    names = re.findall(r"^# TYPE (\S+)", metrics.render().decode(), re.MULTILINE)
    return {name for name in names if not name.endswith("_created")}


@functools.cache
def logged() -> set[str]:
    """The constant first argument of every call of a logger in the code of a node."""
    found = set()
    for path in (ROOT / "workers").rglob("*.py"):
        if path.is_relative_to(NOT_A_NODE):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and ast.unparse(node.func.value) == "log"
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(str(node.args[0].value))
    return found


def told() -> set[str]:
    """The events in the first column of the table of events; `sweep.*` stands for a family."""
    table = PAGE.partition("| event | when |")[2].partition("\n\n")[0]
    first_cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    return {name for cell in first_cells for name in re.findall(r"`([a-z]+\.[a-z*-]+)`", cell)}


def test_the_page_has_every_metric_and_no_other() -> None:
    assert set(re.findall(r"^\| `(backstay_\w+)` \|", PAGE, re.MULTILINE)) == exported()


def test_every_event_that_a_node_logs_is_on_the_page() -> None:
    assert not [event for event in logged() if not any(fnmatch.fnmatchcase(event, name) for name in told())]


def test_every_event_on_the_page_is_logged_somewhere() -> None:
    assert told(), "the table of events was not found"
    assert not [name for name in told() if not any(fnmatch.fnmatchcase(event, name) for event in logged())]
