"""What the store can do, asked once a day and remembered in the data directory; a node does not work on an unfit one.

Apart from the store because asking costs several writes, and from doctor because a node asks too.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from typing import Any

from domain.ability import Ability
from domain.contracts import Clock
from workers.bootstrap import System

DAY_MS = 86_400_000


def abilities(system: System, clock: Clock, *, fresh: bool = False) -> tuple[list[Ability], int]:
    """What the store can do, and when that was found out (UTC ms); `fresh` asks again. Raises what the store raises."""
    if not fresh and (kept := remembered(system, clock)) is not None:
        return kept
    path, about = _place(system)
    now = clock.wall_ms()
    found = list(system.examine_store())
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    part = f"{path}.{os.getpid()}"
    with open(part, "w", encoding="utf-8") as file:
        json.dump({"about": about, "at": now, "abilities": [asdict(one) for one in found]}, file)
    os.replace(part, path)
    return found, now


def remembered(system: System, clock: Clock) -> tuple[list[Ability], int] | None:
    """The same without asking the store; None when it has to be asked."""
    kept = _kept(*_place(system))
    if kept is None or not 0 <= clock.wall_ms() - kept["at"] < DAY_MS:
        return None
    return [Ability(**one) for one in kept["abilities"]], kept["at"]


def unfit(found: list[Ability]) -> str:
    """Why no snapshot is safe in that store; empty when it is fit."""
    return "; ".join(f"{one.name}: {one.sentence} ({one.next_step})" for one in found if one.needed and not one.works)


def _place(system: System) -> tuple[str, str]:
    """The file that remembers, and which store it has to be about."""
    about = hashlib.sha256(system.settings.store_url.encode()).hexdigest()
    return os.path.join(system.settings.data_dir, "cache", "store.json"), about


def _kept(path: str, about: str) -> dict[str, Any] | None:
    """What is remembered of this store; None when nothing is, or nothing that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)
    except (OSError, ValueError):
        return None
    return kept if isinstance(kept, dict) and kept.get("about") == about else None
