"""Copies of objects that the next snapshot of a service will want: its parent's manifest and indexes.

Apart from the store, because nothing depends on it: every copy is checked by its own digest like the
object itself, so a copy that is missing, old or damaged costs a download and nothing else. One folder
per service, bounded by what its newest snapshot needs; losing the whole cache is harmless.
"""

from __future__ import annotations

import os
import secrets

_MANIFEST = "manifest"


class Cache:
    """The copies of one service; `folder` None keeps nothing. Never raises for what the disk does."""

    def __init__(self, folder: str | None, tenant_id: str, service_id: str) -> None:
        """Names are checked ones, safe as a path component."""
        self._folder = None if folder is None else os.path.join(folder, f"{tenant_id}%{service_id}")

    def get(self, name: str) -> bytes | None:
        """The copy, if there is one."""
        if self._folder is None:
            return None
        try:
            with open(os.path.join(self._folder, _flat(name)), "rb") as file:
                return file.read()
        except OSError:
            return None

    def put(self, name: str, data: bytes) -> None:
        """Keep a copy; not durable on purpose."""
        if self._folder is None:
            return
        path = os.path.join(self._folder, _flat(name))
        temporary = f"{path}.{secrets.token_hex(4)}"
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except OSError:
            return  # a full or read-only disk makes the next snapshot slower, not this one wrong

    def keep_only(self, names: set[str]) -> None:
        """Drop every other copy."""
        if self._folder is None:
            return
        wanted = {_flat(name) for name in names}
        try:
            for name in os.listdir(self._folder):
                if name not in wanted:
                    os.unlink(os.path.join(self._folder, name))
        except OSError:
            return


def manifest_name(snapshot_id: str) -> str:
    """Under which name a manifest is kept."""
    return f"{_MANIFEST}.{snapshot_id}"


def _flat(name: str) -> str:
    return name.replace("/", "%")
