"""Where the world may be asked: environment, wall clock, chance and identifiers."""

from __future__ import annotations

import re

import pytest

from tests.architecture.source import Module, calls, explain, modules, parse

ENVIRONMENT = re.compile(r"^os\.(environb?|getenvb?|putenv|unsetenv)\b")
#: file -> why it may touch the environment
READERS = {
    "workers/config.py": "the one place where configuration enters, each value with its origin",
    "workers/demo/stage.py": "hands its own environment, less Backstay's settings, to the processes that it starts",
}
#: what the domain must not ask -> why
NOT_IN_DOMAIN = {
    r"^time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|clock_gettime|localtime|gmtime|sleep)\b": (
        "time is given through the Clock port, or no rule about leases could be tested"
    ),
    r"^(datetime\.)?(datetime\.(now|utcnow|today)|date\.today)\b": "time is given through the Clock port",
    r"^uuid\.|^uuid_utils\.": "identifiers are given, so that a replay makes the same decisions",
    r"^random\.(?!Random\b)": "chance is given as a random.Random, so that a test can fix it",
    r"^secrets\.|^os\.urandom\b": "chance is given, so that a test can fix it",
}


def uses(module: Module, pattern: re.Pattern[str]) -> list[str]:
    """Where `module` writes an attribute chain that matches."""
    return sorted({f"{module.path}:{line} {name}" for name, line in calls(module) if pattern.search(name)})


def _from_imports(module: Module, pattern: re.Pattern[str]) -> list[str]:
    return sorted({f"{module.path}:{line} imports {name}" for name, line in module.imports() if pattern.search(name)})


def test_only_the_configuration_reads_the_environment() -> None:
    found = [
        line
        for module in modules()
        if module.path not in READERS
        for line in [*uses(module, ENVIRONMENT), *_from_imports(module, ENVIRONMENT)]
    ]
    assert not found, explain(
        found, "a setting that is read elsewhere is one that `backstay config show` cannot explain"
    )


@pytest.mark.parametrize("path", READERS)
def test_every_exception_to_the_environment_rule_is_still_needed(path: str) -> None:
    module = next(module for module in modules() if module.path == path)
    assert uses(module, ENVIRONMENT), f"{path} no longer reads the environment: remove its row"


@pytest.mark.parametrize("pattern", NOT_IN_DOMAIN)
def test_the_domain_asks_nobody(pattern: str) -> None:
    sought = re.compile(pattern)
    domain = [module for module in modules() if module.package == "domain"]
    found = [line for module in domain for line in [*uses(module, sought), *_from_imports(module, sought)]]
    assert not found, explain(found, NOT_IN_DOMAIN[pattern])


@pytest.mark.parametrize(
    "sly",
    [
        "import os\nx = os.environ['HOME']",
        "import os\nx = os.getenv('HOME')",
        "from os import environ",
    ],
)
def test_a_read_of_the_environment_is_recognised(sly: str) -> None:
    module = parse("workers/sly.py", sly)
    assert [*uses(module, ENVIRONMENT), *_from_imports(module, ENVIRONMENT)]
