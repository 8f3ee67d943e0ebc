"""The embedded key ring's file: made once, read by every process, replaced in one step and durably.

Apart from bootstrap.py, which knows whose ring it is, because this is about files only. What is sealed with a key
that was not on the disk would be lost with the power.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from domain.failpoint import failpoint


def make_private(directory: str) -> None:
    """A directory that nobody else may look into."""
    os.makedirs(directory, mode=0o700, exist_ok=True)


def replace(path: str, text: str) -> None:
    """Replace a secret file, durably and in one step."""
    fresh = f"{path}.{os.getpid()}"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    failpoint("keys.before-rotate")
    os.replace(fresh, path)
    failpoint("keys.after-rotate")
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_or_make(path: str, make: Callable[[], str]) -> str:
    """The text of the key file; written durably before anything can be sealed with it."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        pass
    make_private(os.path.dirname(path))
    fresh = f"{path}.{os.getpid()}"
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(make() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)  # never over a key that another process has just made
    except FileExistsError:
        pass
    finally:
        os.unlink(fresh)
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    with open(path, encoding="ascii") as file:
        return file.read().strip()
