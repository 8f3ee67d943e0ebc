"""Names, sizes, docstrings and broad excepts: what keeps a file readable by somebody who did not write it."""

from __future__ import annotations

import ast
import statistics
import sys

import pytest

from tests.architecture.source import Module, explain, modules, parse

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 60
P90_FUNCTION_LINES = 25
MAX_BROAD_EXCEPTS = 3

FORBIDDEN_NAMES = {
    "utils": "says nothing about what is inside, so anything ends up there",
    "util": "says nothing about what is inside, so anything ends up there",
    "common": "everything is common to something",
    "helpers": "a helper helps somebody: it lives beside them or has a name of its own",
    "misc": "a drawer",
    "base": "says how it is used and not what it is",
    "manager": "says that it does something",
}


def _name(module: Module) -> str:
    return module.name.rsplit(".", 1)[-1]


@pytest.mark.parametrize("name", FORBIDDEN_NAMES)
def test_no_module_has_a_name_that_says_nothing(name: str) -> None:
    found = [module.path for module in modules() if _name(module) == name]
    assert not found, explain(found, FORBIDDEN_NAMES[name])


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    taken = sys.stdlib_module_names - {"__main__"}
    found = [module.path for module in modules() if _name(module) in taken]
    assert not found, explain(found, "a reader, and Python run from the wrong folder, would take it for the other")


def test_every_module_opens_with_a_docstring() -> None:
    found = [module.path for module in modules() if module.text.strip() and not ast.get_docstring(module.tree)]
    assert not found, explain(
        found, "three sentences: what it is, why it is apart from its neighbours, what it promises"
    )


def test_no_module_is_too_long() -> None:
    found = [f"{m.path}: {len(m.lines)} lines" for m in modules() if len(m.lines) > MAX_MODULE_LINES]
    assert not found, explain(found, f"at most {MAX_MODULE_LINES} lines: a file has one job")


def _sizes() -> list[tuple[int, str]]:
    return sorted(
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{module.path}:{node.lineno} {node.name}")
        for module in modules()
        for node in module.functions()
    )


def test_no_function_is_too_long() -> None:
    found = [f"{where}: {size} lines" for size, where in _sizes() if size > MAX_FUNCTION_LINES]
    assert not found, explain(found, f"at most {MAX_FUNCTION_LINES} lines: a screen")


def test_nine_functions_in_ten_are_short() -> None:
    sizes = [size for size, _ in _sizes()]
    p90 = statistics.quantiles(sizes, n=10)[-1]
    longest = [f"{where}: {size} lines" for size, where in _sizes()[-len(sizes) // 10 :]]
    assert p90 <= P90_FUNCTION_LINES, explain(longest, f"the ninth decile is {p90:.0f} lines, not {P90_FUNCTION_LINES}")


def broad_excepts(module: Module) -> list[tuple[str, bool]]:
    """(where, whether its line says why) of each handler that swallows whatever came.

    One that ends in a bare `raise` only cleans up on the way out: it decides about no error, and is not counted.
    """
    found = []
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        names = {ast.unparse(item) if item else "BaseException" for item in caught}
        passes_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
        if names & {"Exception", "BaseException"} and not passes_on:
            comment = module.lines[node.lineno - 1].partition("#")[2].replace("noqa: BLE001", "").strip(" -")
            found.append((f"{module.path}:{node.lineno}", bool(comment)))
    return found


def test_hardly_anything_catches_everything() -> None:
    found = [where for module in modules() for where, _ in broad_excepts(module)]
    reason = f"at most {MAX_BROAD_EXCEPTS}, at the edges of processes: elsewhere nobody could know what failed"
    assert len(found) <= MAX_BROAD_EXCEPTS, explain(found, reason)


def test_whoever_catches_everything_says_why_on_the_line() -> None:
    found = [where for module in modules() for where, commented in broad_excepts(module) if not commented]
    assert not found, explain(found, "the reader must be able to disagree")


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("except Exception:\n    pass", [("x.py:3", False)]),
        ("except:\n    pass", [("x.py:3", False)]),
        ("except (ValueError, Exception):  # it may\n    pass", [("x.py:3", True)]),
        ("except BaseException:\n    clean()\n    raise", []),
        ("except ValueError:\n    pass", []),
    ],
)
def test_a_broad_except_is_recognised(clause: str, expected: list[tuple[str, bool]]) -> None:
    assert broad_excepts(parse("x.py", f"try:\n    f()\n{clause}\n")) == expected
