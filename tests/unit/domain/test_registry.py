"""A folder is a registry: dropping a file in is enough, and a wrong file is loud."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from domain.registry import members


def _package(folder: Path, files: dict[str, str]) -> types.ModuleType:
    name = f"synthetic_{folder.name.replace('-', '_')}"
    home = folder / name
    home.mkdir()
    (home / "__init__.py").touch()
    for file, text in files.items():
        (home / file).write_text(text)
    sys.path.insert(0, str(folder))
    try:
        module = __import__(name)
        for file in files:
            __import__(f"{name}.{file[:-3]}")
        return module
    finally:
        sys.path.remove(str(folder))


def test_every_module_of_the_folder_is_a_member_under_its_file_name(tmp_path: Path) -> None:
    package = _package(tmp_path, {"one_thing.py": "value = 1", "other.py": "value = 2"})
    assert members(package, "value", int) == {"one-thing": 1, "other": 2}


def test_a_module_without_the_attribute_is_an_error_that_names_it(tmp_path: Path) -> None:
    package = _package(tmp_path, {"stray.py": "x = 1"})
    with pytest.raises(TypeError, match=r"stray must define `value` of type int"):
        members(package, "value", int)


def test_an_attribute_of_another_type_is_an_error(tmp_path: Path) -> None:
    package = _package(tmp_path, {"odd.py": "value = 'text'"})
    with pytest.raises(TypeError, match="odd"):
        members(package, "value", int)
