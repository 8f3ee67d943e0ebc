"""An archive on a store that a test can look into, and trees compared by everything a restore must return."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from domain.contracts import Archive, ObjectStore, SnapshotRequest
from domain.restore import ManifestSummary, RestoreMode, Staged
from domain.snapshot import Consistency, Label, Snapshot, SnapshotState
from storage.archive import open_archive
from storage.archive.feeder import open_beneath
from storage.archive.tenant_keys import TenantKeys
from storage.objects.memory import MemoryStore
from storage.sealing import KeyRing

KEYS = KeyRing.generate_text()


class QuietWatch:
    """Lets everything go on; counts what it is told. `stop` may be replaced to end the work."""

    def __init__(self) -> None:
        self.bytes = self.files = 0
        self.expected = (0, 0)
        self.stop: Callable[[], None] = lambda: None
        self._mutex = threading.Lock()

    def check(self) -> None:
        self.stop()

    def keep(self, seconds: float) -> None: ...

    def staying(self) -> AbstractContextManager[None]:
        return nullcontext()

    def insist(self) -> None: ...

    def advance(self, bytes_done: int = 0, files_done: int = 0) -> None:
        with self._mutex:
            self.bytes += bytes_done
            self.files += files_done
        self.check()

    def expect(self, bytes_total: int, files_total: int) -> None:
        self.expected = (bytes_total, files_total)


@dataclass
class Workshop:
    """One archive, one service."""

    root: Path
    store: ObjectStore = field(default_factory=MemoryStore)
    cache: bool = True
    threads: int = 2
    encryption: bool = False  # most tests look into what is stored
    keyring: KeyRing = field(default_factory=lambda: KeyRing.parse(KEYS))
    service: str = "web"
    watch: QuietWatch = field(default_factory=QuietWatch)
    opened: list[bytes] = field(default_factory=list)
    now_ms: int = 4_000_000_000_000  # later than any file's ctime: nothing is "changed in the same tick"
    archive: Archive = field(init=False)

    def __post_init__(self) -> None:
        cache_dir = str(self.root / "cache") if self.cache else None
        self.archive = open_archive(
            self.store,
            self.keyring,
            encryption=self.encryption,
            cache_dir=cache_dir,
            threads=self.threads,
            wall_ms=lambda: self.now_ms,
            opener=self._open,
        )

    @property
    def keys(self) -> TenantKeys:
        """What opens sealed manifests."""
        return TenantKeys(self.store, self.keyring)

    @property
    def objects(self) -> dict[str, bytes]:
        """What a memory store holds."""
        assert isinstance(self.store, MemoryStore)
        return self.store.objects

    def _open(self, name: bytes, directory: int) -> int:
        self.opened.append(name)
        return open_beneath(name, directory)

    def request(self, directory: Path | None, name: str = "s1", **options: object) -> SnapshotRequest:
        return SnapshotRequest(
            snapshot_id=name,
            tenant_id="acme",
            service_id=self.service,
            directory=None if directory is None else str(directory),
            configuration=options.get("configuration"),  # type: ignore[arg-type]
            labels=(Label("reason", "test"),),
            exclude=options.get("exclude", ()),  # type: ignore[arg-type]
            parent=options.get("parent"),  # type: ignore[arg-type]
            taken_at=options.get("taken_at"),  # type: ignore[arg-type]
        )

    def create(self, directory: Path | None, name: str = "s1", **options: object) -> ManifestSummary:
        return self.archive.create(self.request(directory, name, **options), self.watch)

    def stage(
        self,
        summary: ManifestSummary,
        mode: RestoreMode = RestoreMode.REPLACE,
        target: Path | None = None,
        name: str = "1",
    ) -> Staged:
        staging = self.root / "staging" / name / "tree"
        return self.archive.stage(
            summary.manifest_key, str(target or self.root / "target"), str(staging), mode, self.watch
        )


def row_of(summary: ManifestSummary) -> Snapshot:
    """The catalogue's row of a snapshot, as the handler would make it."""
    return Snapshot(
        snapshot_id=summary.snapshot_id,
        tenant_id=summary.tenant_id,
        service_id=summary.service_id,
        state=SnapshotState.AVAILABLE,
        taken_at=summary.taken_at,
        manifest_key=summary.manifest_key,
        root_digest=summary.root_digest,
        logical_bytes=summary.logical_bytes,
        stored_bytes=summary.stored_bytes,
        files=summary.files,
        consistency=Consistency.STABLE,
        include=summary.include,
        packs=summary.packs,
    )


def describe(root: Path) -> dict[bytes, tuple[object, ...]]:
    """Every path beneath `root`, and the root, with all that must be equal after a restore."""
    found: dict[bytes, tuple[object, ...]] = {}
    names: dict[int, bytes] = {}
    pending = [b""]
    while pending:
        path = pending.pop()
        full = os.path.join(os.fsencode(root), path) if path else os.fsencode(root)
        status = os.lstat(full)
        facts: tuple[object, ...] = (stat.S_IFMT(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns)
        if stat.S_ISLNK(status.st_mode):
            facts += (os.readlink(full),)
        else:
            facts += (
                stat.S_IMODE(status.st_mode),
                tuple((n, os.getxattr(full, n)) for n in sorted(os.listxattr(full))),
            )
        if stat.S_ISREG(status.st_mode):
            first = names.setdefault(status.st_ino, path) if status.st_nlink > 1 else path
            facts += (status.st_size, content(full), first)
        found[path] = facts
        if stat.S_ISDIR(status.st_mode):
            pending += sorted((path + b"/" + name if path else name for name in os.listdir(full)), reverse=True)
    return found


def content(path: bytes) -> str:
    """A digest of the file's data, quick for holes and the same wherever the file system happens to store zeroes."""
    mark, block, piece = hashlib.blake2b(), 1 << 12, 1 << 20
    with open(path, "rb") as file:
        size, position = os.fstat(file.fileno()).st_size, 0
        while position < size:
            try:
                start = os.lseek(file.fileno(), position, os.SEEK_DATA) // block * block
            except OSError:
                break
            data = os.pread(file.fileno(), piece, start)
            for offset in range(0, len(data), block):
                if data[offset : offset + block].strip(b"\0"):
                    mark.update(b"%d:" % (start + offset) + data[offset : offset + block])
            position = start + piece
    return mark.hexdigest()


def plant(root: Path) -> Path:
    """RS-05's tree: everything that has ever been lost by somebody's backup."""
    base = os.fsencode(root)
    os.makedirs(base + b"/deep/er", mode=0o755)
    os.mkdir(base + b"/empty", 0o700)
    os.mkdir(base + b"/shared", 0o2775)
    os.chmod(base + b"/shared", 0o3775)
    files = {
        b".dotfile": b"hidden",
        b"-rf": b"looks like an option",
        b"zero": b"",
        b"two\nlines": b"newline in the name",
        "größe-日本".encode(): b"unicode",
        b"latin-\xe9\xff": b"no UTF-8",
        b"secret": b"mode 0000",
        b"deep/er/file": b"x" * 70_000,
        b"deep/program": b"#!/bin/sh\n",
        b"big": b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(120_000)),
        b"text": b"the same line again and again\n" * 200_000,
    }
    for name, data in files.items():
        Path(os.fsdecode(base + b"/" + name)).write_bytes(data)
    os.chmod(base + b"/secret", 0)
    os.chmod(base + b"/deep/program", 0o751)
    with open(base + b"/sparse", "wb") as file:
        file.truncate(1 << 30)
        file.seek(500_000_000)
        file.write(b"an island in a gigabyte of nothing")
        file.seek((1 << 30) - 5)
        file.write(b"shore")
    with open(base + b"/all-hole", "wb") as file:
        file.truncate(3_000_000)
    os.link(base + b"/text", base + b"/deep/hard-link")
    os.symlink(b"nowhere/at/all", base + b"/dangling")
    os.symlink(b"deep/er", base + b"/to-directory")
    os.symlink(b"/etc/hostname", base + b"/absolute")
    os.utime(base + b"/zero", ns=(1, 1_234_567_890_123_456_789))
    os.utime(base + b"/deep/er/file", ns=(1, -5_000_000_001))
    os.utime(base + b"/dangling", ns=(1, 999_999_999_000_000_001), follow_symlinks=False)
    os.utime(base + b"/empty", ns=(1, 1_000_000_000_000_000_007))
    os.utime(base + b"/deep", ns=(1, 1_100_000_000_000_000_011))
    return root
