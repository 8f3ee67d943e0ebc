"""The trees that archives are measured on, made from fixed seeds, and what changes in each between two snapshots.

Apart from the measuring so that a person can look at one: `python -m bench.trees db FOLDER [--scale 0.1]`. None
of them is a copy of real data; each imitates one trait that decides an archive's speed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PAGE = 16 << 10
RECORD = 128
GIB = 1 << 30
#: Letters by falling frequency, for text that compresses like text.
LETTERS = np.frombuffer(b"etaoinshrdlucmfwypvbgkjqxz", np.uint8)


@dataclass(frozen=True, slots=True)
class Kind:
    """`make(folder, scale)` fills an absent folder; `change(folder)` edits it as a day's work would."""

    about: str
    make: Callable[[Path, float], None]
    change: Callable[[Path], None]


# ---------------------------------------------------------------- an application: many small files
def make_app(folder: Path, scale: float) -> None:
    """The installed Python packages of this environment; a fraction of them when scaled down."""
    source = Path(sysconfig.get_path("purelib"))
    if scale >= 1:
        shutil.copytree(source, folder, symlinks=True)
        return
    folder.mkdir()
    entries = sorted(source.iterdir())
    for entry in entries[: max(4, int(len(entries) * scale))]:
        if entry.is_dir():
            shutil.copytree(entry, folder / entry.name, symlinks=True)


def change_app(folder: Path) -> None:
    """Appends to every hundredth file, fifty new ones, and a renamed directory."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    for path in files[::100]:
        with path.open("ab") as file:
            file.write(b"changed")
    new = folder / "new"
    new.mkdir()
    for number in range(50):
        (new / f"{number}.txt").write_bytes(b"hello %d\n" % number * 100)
    biggest = max((path for path in folder.iterdir() if path.is_dir()), key=lambda path: len(list(path.rglob("*"))))
    biggest.rename(folder / f"renamed-{biggest.name}")


# ---------------------------------------------------------------- a database: one big file of pages
def make_db(folder: Path, scale: float) -> None:
    """2 GiB of 16 KiB pages: a header with random fields, and records of numbers, random bytes and words."""
    folder.mkdir()
    draw = np.random.default_rng(11)
    words = _phrases(draw, 65_536)
    pages = int(2 * GIB * scale) // PAGE
    with open(folder / "table.db", "wb") as file:
        for first in range(0, pages, 4096):
            file.write(_pages(draw, words, first, min(4096, pages - first)).data)


def _phrases(draw: np.random.Generator, count: int) -> np.ndarray:
    """`count` rows of 24 bytes that read like a few words."""
    weights = 1 / np.arange(1, 27)
    text = draw.choice(LETTERS, (count, 24), p=weights / weights.sum())
    text[draw.random((count, 24)) < 0.17] = 32
    return text


def _pages(draw: np.random.Generator, words: np.ndarray, first: int, count: int) -> np.ndarray:
    per_page = (PAGE - 256) // RECORD
    rows = count * per_page
    records = np.zeros((rows, RECORD), np.uint8)
    numbers = np.arange(first * per_page, first * per_page + rows, dtype=">u8")
    records[:, 0:8] = numbers.view(np.uint8).reshape(rows, 8)
    records[:, 8:20] = draw.integers(0, 256, (rows, 12), np.uint8)
    records[:, 20:32] = draw.integers(48, 58, (rows, 12), np.uint8)
    for column in range(32, 104, 24):
        records[:, column : column + 24] = words[draw.zipf(1.15, rows) % len(words)]
    pages = np.zeros((count, PAGE), np.uint8)
    pages[:, 0:4] = draw.integers(0, 256, (count, 4), np.uint8)
    pages[:, 4:8] = np.arange(first, first + count, dtype=">u4").view(np.uint8).reshape(count, 4)
    pages[:, 16:24] = draw.integers(0, 256, (count, 8), np.uint8)
    pages[:, 38 : 38 + per_page * RECORD] = records.reshape(count, per_page * RECORD)
    return pages


def change_db_pages(folder: Path) -> None:
    """One page in a hundred, anywhere: its header, and parts of four records."""
    draw = np.random.default_rng(12)
    path = folder / "table.db"
    pages = path.stat().st_size // PAGE
    with open(path, "r+b") as file:
        for page in np.sort(draw.choice(pages, pages // 100, replace=False)).tolist():
            file.seek(page * PAGE)
            held = bytearray(file.read(PAGE))
            held[0:4], held[16:24] = draw.bytes(4), draw.bytes(8)
            for record in draw.choice((PAGE - 256) // RECORD, 4, replace=False).tolist():
                at = 38 + record * RECORD + 8
                held[at : at + 24] = draw.bytes(24)
            file.seek(page * PAGE)
            file.write(held)


def change_db_insert(folder: Path) -> None:
    """100,003 bytes more in the middle: everything behind them moves."""
    path, fresh = folder / "table.db", folder / "table.db.new"
    middle = path.stat().st_size // 2 + 777
    with open(path, "rb") as old, open(fresh, "wb") as new:
        left = middle
        while left:
            block = old.read(min(left, 4 << 20))
            new.write(block)
            left -= len(block)
        new.write(np.random.default_rng(13).bytes(100_003))
        shutil.copyfileobj(old, new, 4 << 20)
    os.replace(fresh, path)


# ---------------------------------------------------------------- media: nothing compresses
def make_media(folder: Path, scale: float) -> None:
    """1 GiB of random bytes in files of up to 48 MiB."""
    folder.mkdir()
    draw, left, number = np.random.default_rng(21), int(GIB * scale), 0
    while left > 0:
        size = min(left, int(draw.integers(256 << 10, 48 << 20)))
        (folder / f"image-{number:04d}.raw").write_bytes(draw.bytes(size))
        left, number = left - size, number + 1


def change_media(folder: Path) -> None:
    """One new file of 16 MiB."""
    (folder / "new.raw").write_bytes(np.random.default_rng(22).bytes(16 << 20))


# ---------------------------------------------------------------- logs: text that compresses well
def make_logs(folder: Path, scale: float) -> None:
    """1 GiB of access logs in sixteen files."""
    folder.mkdir()
    draw = np.random.default_rng(31)
    words = [bytes(row).replace(b" ", b"") for row in _phrases(draw, 3000)]
    paths = [b"/" + b"/".join(words[at] for at in draw.integers(0, 3000, draw.integers(1, 5))) for _ in range(5000)]
    hosts = [b"%d.%d.%d.%d" % tuple(draw.integers(1, 255, 4).tolist()) for _ in range(20_000)]
    each, now = int(GIB * scale) // 16, 1_700_000_000
    for number in range(16):
        with open(folder / f"access.log.{number}", "wb") as file:
            while (room := each - file.tell()) > 0:
                lines, now = _log_lines(draw, hosts, paths, now)
                file.write(lines[:room])


def _log_lines(draw: np.random.Generator, hosts: list[bytes], paths: list[bytes], now: int) -> tuple[bytes, int]:
    count = 20_000
    columns = (
        (draw.zipf(1.3, count) % len(hosts)).tolist(),
        (now + draw.integers(0, 3, count).cumsum()).tolist(),
        (draw.zipf(1.2, count) % len(paths)).tolist(),
        draw.choice([200, 200, 200, 304, 404, 500], count).tolist(),
        draw.integers(100, 90_000, count).tolist(),
        draw.integers(60, 140, count).tolist(),
        draw.integers(0, 1 << 40, count).tolist(),
    )
    form = b'%b - - [%d] "GET %b HTTP/1.1" %d %d "Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101" id=%010x\n'
    rows = zip(*columns, strict=True)
    return b"".join(form % (hosts[h], t, paths[p], s, b, v, q) for h, t, p, s, b, v, q in rows), columns[1][-1]


def change_logs(folder: Path) -> None:
    """8 MiB more at the end of one, and one renamed."""
    piece = (folder / "access.log.3").read_bytes()[: 8 << 20]
    with open(folder / "access.log.15", "ab") as file:
        file.write(piece[::-1])
    (folder / "access.log.0").rename(folder / "old.log.0")


KINDS = {
    "app": Kind("installed packages, many small files", make_app, change_app),
    "db": Kind("one database file, 1 % of its pages change", make_db, change_db_pages),
    "dbins": Kind("the same file, 100 kB inserted in the middle", make_db, change_db_insert),
    "media": Kind("incompressible files", make_media, change_media),
    "logs": Kind("text", make_logs, change_logs),
}


def main() -> None:
    """Make one tree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    KINDS[given.kind].make(given.folder, given.scale)


if __name__ == "__main__":
    main()
