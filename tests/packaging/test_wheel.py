"""The wheel: exactly our four packages, with the migrations, and it starts where there is no checkout."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, ROOT
from tests.golden.release import build

#: What the console script does, in an interpreter that ignores PYTHONPATH, user site and current folder.
START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from workers.__main__ import main; main()"
WHERE = "import sys; sys.path.insert(0, sys.argv.pop(1)); import {0}; print(*(m.__file__ for m in ({0})))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout gets no build folder."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    return build(source, out, epoch=1_700_000_000)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel was unpacked into, as an installer would."""
    target = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def run(folder: Path, *arguments: str) -> str:
    """This Python in `folder`; its output. A failure shows what it said."""
    environment = {**os.environ, "BACKSTAY_DATA_DIR": str(folder / "data")}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_four_packages_and_its_metadata_and_nothing_else(wheel: Path) -> None:
    top = {name.split("/")[0] for name in names(wheel)}
    metadata = {name for name in top if name.endswith(".dist-info")}
    assert top - metadata == set(PACKAGES) and len(metadata) == 1


def test_the_wheel_holds_every_module_of_the_checkout(wheel: Path) -> None:
    ours = {path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert ours <= set(names(wheel))


def test_the_wheel_holds_the_template_of_a_migration(wheel: Path) -> None:
    assert "storage/sql/migrations/script.py.mako" in names(wheel)
    pages = {
        path.relative_to(ROOT).as_posix()
        for kind in ("static", "templates")
        for path in (ROOT / "workers/web" / kind).iterdir()
    }
    assert len(pages) > 20 and pages <= set(names(wheel)), "the operators' console"


def test_no_index_would_accept_the_wheel(wheel: Path) -> None:
    """The package names are generic: whoever installed it beside other code could lose files."""
    (path,) = (name for name in names(wheel) if name.endswith(".dist-info/METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        assert "Classifier: Private :: Do Not Upload" in archive.read(path).decode()


def test_the_command_is_called_backstay(wheel: Path) -> None:
    (path,) = (name for name in names(wheel) if name.endswith(".dist-info/entry_points.txt"))
    scripts = configparser.ConfigParser()
    with zipfile.ZipFile(wheel) as archive:
        scripts.read_string(archive.read(path).decode())
    assert dict(scripts["console_scripts"]) == {"backstay": "workers.__main__:main"}


def test_all_four_packages_come_from_the_wheel_and_not_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    files = run(tmp_path, "-I", "-c", WHERE.format(", ".join(PACKAGES)), str(installed)).split()
    assert [Path(file).parent.parent for file in files] == [installed] * len(PACKAGES)


def test_the_installed_command_starts_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    assert "Usage: " in run(tmp_path, "-I", "-c", START, str(installed), "--help")


def test_the_installed_command_makes_its_schema(installed: Path, tmp_path: Path) -> None:
    """The migrations are found where they were installed, and not by a path of the checkout."""
    run(tmp_path, "-I", "-c", START, str(installed), "migrate")
    assert (tmp_path / "data" / "backstay.db").stat().st_size
