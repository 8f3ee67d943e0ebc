"""Directory trees for tests: made from a seed, compared by everything that a restore must bring back."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from pathlib import Path


def grow(root: Path, seed: int = 1, files: int = 30, most_bytes: int = 4000) -> None:
    """An application-like tree: nested directories, small files, a link, an empty directory, one larger file."""
    draw = random.Random(seed)
    root.mkdir(parents=True, exist_ok=True)
    folders = [root, root / "lib", root / "lib" / "deep", root / "static"]
    for folder in folders:
        folder.mkdir(exist_ok=True)
    (root / "empty").mkdir(exist_ok=True)
    for number in range(files):
        path = draw.choice(folders) / f"file-{seed}-{number}.txt"
        path.write_bytes(draw.randbytes(draw.randrange(most_bytes)))
        os.utime(path, ns=(1_600_000_000_000_000_000 + number, 1_600_000_000_123_456_000 + number))
    link = root / "current"
    if not link.is_symlink():
        link.symlink_to("lib/deep")


def digest(root: Path) -> str:
    """One value for names, types, modes, mtimes, link targets and contents of all that is beneath `root`."""
    total = hashlib.sha256()
    for path in sorted(root.rglob("*"), key=os.fsencode):
        found = path.lstat()
        name = os.fsencode(path.relative_to(root))
        total.update(name + f"\0{found.st_mode:o}\0{found.st_mtime_ns}\0".encode())
        if stat.S_ISLNK(found.st_mode):
            total.update(os.fsencode(os.readlink(path)))
        elif stat.S_ISREG(found.st_mode):
            total.update(path.read_bytes())
    return total.hexdigest()
