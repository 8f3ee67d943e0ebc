"""The product's modules as the architecture tests see them: parsed once, never imported.

Apart from the rules, which are tables in the tests beside it. Reading instead of importing means that a rule
can judge a module that does not even load.
"""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("workers", "handlers", "domain", "storage")


@dataclass(frozen=True)
class Module:
    """One file: `path` relative to the checkout, `name` dotted, with its text and its tree."""

    path: str
    name: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """Which of the four packages it belongs to."""
        return self.path.split("/", 1)[0]

    @property
    def lines(self) -> list[str]:
        """Its text, line by line."""
        return self.text.splitlines()

    def imports(self) -> Iterator[tuple[str, int]]:
        """(dotted name, line) of everything that it imports, inside functions and for types too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                yield origin, node.lineno
                yield from ((f"{origin}.{alias.name}", node.lineno) for alias in node.names)

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".") if self.path.endswith("__init__.py") else self.name.split(".")[:-1]
        return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


def parse(path: str, text: str) -> Module:
    """A module from its text; `path` decides its name."""
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Module(path, name, text, ast.parse(text, path))


@functools.cache
def modules() -> tuple[Module, ...]:
    """Every module of the product, in the order of their paths."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return tuple(parse(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths)


@functools.cache
def tracked_files() -> tuple[str, ...]:
    """What git keeps, relative to the checkout; the same without git is not to be had, so that is an error."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return tuple(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def calls(module: Module) -> Iterator[tuple[str, int]]:
    """(dotted name as written, line) of every attribute and call chain, such as `time.time`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node), node.lineno


def explain(found: list[str], reason: str) -> str:
    """What a failing rule prints: where, and why the rule exists."""
    return "\n".join([*found, f"why: {reason}"])
