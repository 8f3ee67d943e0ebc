"""`spool:///directory`: a maildir as a queue; the border when there is no server at all.

    <directory>/<queue>/tmp/<name>            being written; removed when nobody has for 36 hours
    <directory>/<queue>/new/<name>            published: renamed from tmp
    <directory>/<queue>/cur/<seat>/<name>     taken by one channel of a living process (seat.py)
    <directory>/<queue>/aside/<name>          no message: not a readable plain file, or larger than 16 MiB
    <directory>/<exchange>.bind/<digest>      one file per binding: [routing key, pattern, queue]

A file is a CloudEvent as JSON, or header lines, an empty line and a body (binary mode). Anybody who can
write a file and rename it can publish; names that begin with a dot are left alone. Acknowledging unlinks;
what a dead process had taken goes back to `new`. Names sort by time, so one publisher's messages stay in
order. Everything is fsynced before publishing returns. After D. J. Bernstein's maildir.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import stat
import time
from collections import deque
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty
from typing import Any

from amqp.exceptions import ChannelError  # type: ignore[import-untyped]

from domain.failpoint import failpoint
from workers.transports import body_of, headers_of, payload
from workers.transports.polled import PolledChannel, PolledTransport
from workers.transports.seat import Seat, vacate

#: Files taken at a time, and names kept from one listing: a listing of many is not repeated for each batch.
BATCH, LISTED = 200, 10_000
#: Seconds between looks for messages that dead processes had taken.
RECOVER_SECONDS = 5.0
#: Seconds between looks for what dead publishers left half written, and those after which it is theirs: maildir's rule.
SWEEP_SECONDS, LEFT_SECONDS = 3600.0, 36 * 3600.0
#: Bytes beyond which a file is not read at all; RabbitMQ's limit for a message.
LARGEST = 16 * 1024 * 1024
#: What opening a file that is no message answers; anything else is weather, and is tried again.
_NO_MESSAGE = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.EFBIG}
#: What writing to one queue answers that nobody else's has: its folder is gone, or another user's.
_OF_THE_QUEUE = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ESTALE}
_HEADERS = re.compile(rb"(?:[A-Za-z0-9_:-]+:[ \t][^\r\n]*\r?\n)+\r?\n")
_HEADER = re.compile(r"[A-Za-z0-9_:-]+: [^\r\n]*")
_HEADERS_BYTES = 64 * 1024


class SpoolChannel(PolledChannel):
    """One consumer or publisher."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        host = self.connection.client.hostname or ""
        self._root = Path("/", host if host != "localhost" else "", self.connection.client.virtual_host or "")
        self._name = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._seats: dict[str, Seat] = {}
        self._listed: dict[str, deque[str]] = {}
        self._taken: deque[str] = deque()
        self._recovered_at = float("-inf")
        self._swept_at: dict[str, float] = {}
        self._stamp = 0

    # ------------------------------------------------------------ publishing
    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        self._stamp = max(time.time_ns(), self._stamp + 1)  # the wall clock may go back, the order may not
        name = f"{self._stamp:020d}.{self._name}"
        self._sweep(queue)  # also where no channel of ours takes messages
        try:
            _publish(self._root / queue / "tmp" / name, self._root / queue / "new" / name, _text_of(message))
        except OSError as error:
            if error.errno not in _OF_THE_QUEUE:
                raise
            raise ChannelError(f"the queue cannot be written to: {error}", (60, 40), "Basic.publish", 404) from error

    def _sweep(self, queue: str) -> None:
        now = time.monotonic()
        if now - self._swept_at.get(queue, float("-inf")) > SWEEP_SECONDS:
            self._swept_at[queue] = now
            _remove_old(self._root / queue / "tmp", LEFT_SECONDS)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        place = self._binding(exchange, routing_key, queue)
        if not place.exists():
            _make(place.parent)
            text = json.dumps([routing_key, pattern, queue]).encode()
            _publish(place.with_name(f".{place.name}.{self._name}"), place, text)

    def _queue_unbind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        self._binding(exchange, routing_key, queue).unlink(missing_ok=True)

    def _binding(self, exchange: str, routing_key: str, queue: str) -> Path:
        digest = hashlib.sha256(f"{queue}\0{routing_key}".encode()).hexdigest()[:16]
        return self._root / f"{exchange}.bind" / digest

    def get_table(self, exchange: str) -> list[tuple[str, str | None, str]]:
        """Bindings of an exchange: routing key, pattern, queue. They are found by publishers in any process."""
        folder, table = self._root / f"{exchange}.bind", []
        with suppress(FileNotFoundError):
            for name in _names(folder):
                routing_key, pattern, queue = json.loads((folder / name).read_bytes())
                table.append((routing_key, pattern, queue))
        return table

    # ------------------------------------------------------------ what else kombu asks of a channel
    def _new_queue(self, queue: str, **_: Any) -> None:
        for part in ("tmp", "new", "cur"):
            _make(self._root / queue / part)

    def _has_queue(self, queue: str, **_: Any) -> bool:
        return (self._root / queue / "new").is_dir()

    def _size(self, queue: str) -> int:
        return len(_names(self._root / queue / "new"))

    def _purge(self, queue: str) -> int:
        names = _names(self._root / queue / "new")
        for name in names:
            (self._root / queue / "new" / name).unlink(missing_ok=True)
        return len(names)

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str | None, *_: Any, **__: Any) -> None:
        self._queue_unbind(exchange, routing_key, pattern, queue)
        self._purge(queue)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """The message is done with. Not fsynced: a message that comes again is known by its key."""
        queue, _, name = delivery_tag.partition("/")
        with suppress(FileNotFoundError):
            os.unlink(f"{self._seats[queue].folder}/{name}")
        super().basic_ack(delivery_tag)

    def close(self) -> None:
        """Put back what was taken and not acknowledged."""
        with ExitStack() as left:
            left.callback(super().close)
            for queue, seat in self._seats.items():
                left.callback(seat.leave, self._root / queue / "new")
            self._seats = {}

    # ------------------------------------------------------------ taking
    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        if not self._taken:
            self._take(queue)
        while self._taken:
            name = self._taken.popleft()
            raw = self._read(queue, name)
            if raw is not None:
                body, headers = _parse(raw)
                return payload(body, headers, queue, f"{queue}/{name}")
        raise Empty

    def _take(self, queue: str) -> None:
        new, cur = self._root / queue / "new", self._root / queue / "cur"
        if queue not in self._seats:
            self._seats[queue] = Seat(cur / self._name)
        if time.monotonic() - self._recovered_at > RECOVER_SECONDS:
            self._recovered_at = time.monotonic()
            for name in _names(cur):
                vacate(cur / name, new)
            self._sweep(queue)
        os.stat(self._seats[queue].folder)  # if somebody removed it, every rename would look like a lost race
        listed = self._listed.setdefault(queue, deque())
        if not listed:
            listed.extend(sorted(_names(new))[:LISTED])
        mine = self._seats[queue].folder
        while listed and len(self._taken) < BATCH:
            name = listed.popleft()
            with suppress(FileNotFoundError):  # another consumer was faster
                os.rename(f"{new}/{name}", f"{mine}/{name}")
                self._taken.append(name)

    def _read(self, queue: str, name: str) -> bytes | None:
        """The file's bytes; None if it has gone. What is no message is put aside, and said in its place."""
        place = f"{self._seats[queue].folder}/{name}"
        try:
            return _bytes_of(place)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in _NO_MESSAGE:
                raise
            aside = self._root / queue / "aside"
            _make(aside)
            os.rename(place, aside / name)
            return f"the file {aside / name} is no message: {error.strerror}".encode(errors="replace")


class SpoolTransport(PolledTransport):
    """Registered as spool://."""

    Channel = SpoolChannel
    driver_type = "spool"
    driver_name = "maildir"
    connection_errors = (*PolledTransport.connection_errors, OSError)

    def driver_version(self) -> str:
        """The version of the on-disk form."""
        return "1"


# ---------------------------------------------------------------- files
def _publish(temporary: Path, published: Path, text: bytes) -> None:
    """The four effects of a durable file, in the only order in which no reader and no crash sees half of it. A failure
    leaves nothing half written: on a full disk each further try would take more of it."""
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        failpoint("spool.before-rename")
        os.rename(temporary, published)
    except OSError:
        with suppress(OSError):  # what failed first is what there is to say
            os.unlink(temporary)
        raise
    _sync(published.parent)
    failpoint("spool.after-rename")


def _remove_old(folder: Path, seconds: float) -> None:
    """Remove what nobody has touched for so long. A file's own time may be any; that of its inode is the system's."""
    with suppress(OSError):  # it may be another user's: sweeping keeps no message from coming or going
        for name in _names(folder):
            with suppress(OSError):
                if time.time() - os.lstat(folder / name).st_ctime > seconds:
                    os.unlink(folder / name)


def _make(folder: Path) -> None:
    """The folder and its parents, durable."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _names(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if not name.startswith(".")]


def _bytes_of(place: str) -> bytes:
    """A plain file's bytes. Never follows a link, never waits for the other end of a pipe."""
    handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise PermissionError(errno.EPERM, "it is not a plain file")
        if about.st_size > LARGEST:
            raise OSError(errno.EFBIG, f"it has {about.st_size} bytes, at most {LARGEST} are read")
        return _whole(handle, about.st_size)
    finally:
        os.close(handle)


def _whole(handle: int, size: int) -> bytes:
    """All bytes of a file that had `size` of them, `LARGEST` at most; by one call if it has not grown.

    Intake shares the interpreter with all that runs, and every call of the system lets others go first.
    """
    raw = os.read(handle, min(size + 1, LARGEST))
    if len(raw) == size:
        return raw
    with open(handle, "rb", closefd=False) as file:
        return raw + file.read(LARGEST - len(raw))


def _text_of(message: dict[str, Any]) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers_of(message).items()]
    head = "".join(f"{line}\n" for line in lines if _HEADER.fullmatch(line))
    return (f"{head}\n" if head else "").encode(errors="replace") + body_of(message)


def _parse(raw: bytes) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a spool file; whatever has no header lines is all body."""
    found = _HEADERS.match(raw, 0, _HEADERS_BYTES)
    if not found:
        return raw, {}
    lines = found[0].decode("utf-8", "replace").splitlines()
    pairs = (re.match(r"(.+?):[ \t](.*)", line) for line in lines)
    return raw[found.end() :], {pair[1]: pair[2].strip() for pair in pairs if pair}
