"""Which package may know which, and that no modules know each other in a circle."""

from __future__ import annotations

import graphlib

import pytest

from tests.architecture.source import PACKAGES, Module, explain, modules, parse

#: package -> (the packages of ours that it may import, why no others)
ARROWS = {
    "domain": (("domain",), "the rules are decided, and tested, without a database, a broker or a disk"),
    "handlers": (("domain", "handlers"), "a handler says what should happen; which storage does it is not its concern"),
    "storage": (("domain", "storage"), "storage keeps what it is given; if it knew the handlers it would decide"),
    "workers": (("domain", "handlers", "workers"), "only the composition root picks storage"),
}
#: The one module that may also import `storage`.
COMPOSITION_ROOT = "workers/bootstrap.py"
OURS = (*PACKAGES, "bench", "tests")


def wrong_ways(module: Module) -> list[str]:
    """Where `module` imports one of our packages that its own must not know."""
    allowed, _ = ARROWS[module.package]
    if module.path == COMPOSITION_ROOT:
        allowed = (*allowed, "storage")
    targets = {(name.split(".")[0], line) for name, line in module.imports()}
    return sorted(f"{module.path}:{line} imports {top}" for top, line in targets if top in OURS and top not in allowed)


def circle(among: tuple[Module, ...]) -> list[str]:
    """Modules that import each other, the first one again at the end; empty when there are none."""
    known = {module.name for module in among}
    graph: dict[str, set[str]] = {}
    for module in among:
        # `from a import b` names both `a` and `a.b`: where `a.b` is a module, `a` is only the way to it.
        named = {name for name, _ in module.imports()}
        ways = {name.rpartition(".")[0] for name in named & known}
        graph[module.name] = (named - ways) & known - {module.name}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", ARROWS)
def test_a_package_knows_only_what_its_arrows_allow(package: str) -> None:
    ours = [module for module in modules() if module.package == package]
    found = [line for module in ours for line in wrong_ways(module)]
    assert ours and not found, explain(found, ARROWS[package][1])


def test_no_modules_know_each_other_in_a_circle() -> None:
    found = circle(modules())
    assert not found, explain([" -> ".join(found)], "modules in a circle are one module in several files")


@pytest.mark.parametrize(
    "sly",
    [
        "import storage.sql",
        "from storage.sql import engine",
        "def late():\n    from storage import store",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import storage",
        "from tests.fakes import clock",
    ],
)
def test_an_import_against_the_arrows_is_recognised(sly: str) -> None:
    assert wrong_ways(parse("workers/sly.py", sly))


def test_the_composition_root_may_import_storage() -> None:
    assert not wrong_ways(parse(COMPOSITION_ROOT, "from storage.store import open_store"))


def test_a_circle_is_recognised() -> None:
    one, two = parse("domain/one.py", "from domain import two"), parse("domain/two.py", "from domain.one import x")
    assert set(circle((one, two))) == {"domain.one", "domain.two"}
