"""What lives in the data directory unless it is set elsewhere, and whether an earlier release has left it elsewhere.

Apart from config.py, which looks at no file but its own. Release 0.1 took `data_dir` of the file for the key ring and
the caches only: database, spool, store and applications stayed where they are without a file.
"""

from __future__ import annotations

import os
from collections.abc import Container

#: Setting -> (URL or path before the data directory, name in it).
_HOMES = {
    "database_url": ("sqlite:///", "backstay.db"),
    "broker_url": ("spool://", "spool"),
    "store_url": ("file://", "store"),
    "apps_root": ("", "apps"),
}


def default_values(data_dir: str) -> dict[str, str]:
    """Each setting that is a place in the data directory by default, with its value there."""
    return {setting: f"{scheme}{data_dir}/{name}" for setting, (scheme, name) in _HOMES.items()}


def left_behind(before: str, data_dir: str, chosen: Container[str]) -> list[str]:
    """One sentence if something lies in `before` that these settings look for in `data_dir`, where it is not.

    Settings that are `chosen` depend on neither. With an empty database beside a full one, what was accepted would
    seem to be lost.
    """
    names = [name for setting, (_, name) in _HOMES.items() if setting not in chosen]
    left = [name for name in names if _has(before, name) and not _has(data_dir, name)]
    if not left:
        return []
    return [
        f"data_dir: {data_dir} lacks {', '.join(left)}, which {before} has, where release 0.1 looked for them; stop "
        "every process and move them there (with backstay.db what begins with its name), or away if nothing of them "
        "is wanted; or set each where it is"
    ]


def _has(folder: str, name: str) -> bool:
    return os.path.exists(os.path.join(folder, name))
