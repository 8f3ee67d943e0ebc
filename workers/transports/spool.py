"""`spool:///directory`: a maildir as a queue; the border when there is no server at all.

    <directory>/<queue>/tmp/<name>                 being written
    <directory>/<queue>/new/<name>                 published: renamed from tmp
    <directory>/<queue>/cur/<owner>/<n>/<name>     taken by channel n of a living process
    <directory>/<exchange>.bind/<queue>            one file per binding, holding its routing pattern

A file is a CloudEvent as JSON, or header lines, an empty line and a body (binary mode). Anybody who can
write a file and rename it can publish. Acknowledging unlinks; what a dead process had taken goes back to
`new`. Names sort by time, so one publisher's messages stay in order. Everything is fsynced before
publishing returns. After D. J. Bernstein's maildir.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import time
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import virtual

from domain.failpoint import failpoint
from workers.owner import Owner
from workers.transports import body_of, payload

#: Files taken at a time.
BATCH = 200
#: Seconds between looks for messages that dead processes had taken.
RECOVER_SECONDS = 5.0
#: Seconds between looks when the spool is empty.
POLL_SECONDS = 0.02
_HEADERS = re.compile(rb"(?:[A-Za-z0-9_:-]+:[ \t][^\r\n]*\r?\n)+\r?\n")
_numbers = itertools.count(1)


class SpoolChannel(virtual.Channel):  # type: ignore[misc]  # kombu has no types
    """One consumer or publisher. Not shared between threads, like any kombu channel."""

    do_restore = False  # kombu's own way puts copies back; ours renames
    supports_fanout = True  # so that bindings are told to `_queue_bind`

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        host = self.connection.client.hostname or ""
        self._root = Path("/", host if host != "localhost" else "", self.connection.client.virtual_host or "")
        self._owner = Owner.of_this_process("spool")
        self._mine = f"{self._owner}/{next(_numbers)}"
        self._buffer: list[str] = []
        self._recovered_at = float("-inf")

    # ------------------------------------------------------------ what kombu asks of a channel
    def _new_queue(self, queue: str, **_: Any) -> None:
        for part in ("tmp", "new", "cur"):
            (self._root / queue / part).mkdir(mode=0o700, parents=True, exist_ok=True)

    def _has_queue(self, queue: str, **_: Any) -> bool:
        return (self._root / queue / "new").is_dir()

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        name = f"{time.time_ns():020d}.{os.getpid()}.{next(_numbers):09d}"
        temporary, published = self._root / queue / "tmp" / name, self._root / queue / "new" / name
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(_text_of(message))
            file.flush()
            os.fsync(file.fileno())
        failpoint("spool.before-rename")
        os.rename(temporary, published)
        _sync(published.parent)
        failpoint("spool.after-rename")

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        if not self._buffer:
            self._take(queue)
        if not self._buffer:
            raise Empty
        name = self._buffer.pop(0)
        body, headers = _parse((self._place(queue) / name).read_bytes())
        return payload(body, headers, queue, f"{queue}/{name}")

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """The message is done with."""
        queue, _, name = delivery_tag.partition("/")
        (self._place(queue) / name).unlink(missing_ok=True)
        super().basic_ack(delivery_tag)

    def _size(self, queue: str) -> int:
        return len(os.listdir(self._root / queue / "new"))

    def _purge(self, queue: str) -> int:
        names = os.listdir(self._root / queue / "new")
        for name in names:
            (self._root / queue / "new" / name).unlink(missing_ok=True)
        return len(names)

    def _delete(self, queue: str, *_: Any, **__: Any) -> None:
        self._purge(queue)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        folder = self._root / f"{exchange}.bind"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / queue).write_text(f"{routing_key}\n{pattern or ''}\n")

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """Bindings live in the spool, so that a publisher in another process finds the queues."""
        table = []
        with contextlib.suppress(FileNotFoundError):
            for file in sorted((self._root / f"{exchange}.bind").iterdir()):
                routing_key, pattern, *_ = [*file.read_text().split("\n"), "", ""]
                table.append((routing_key, pattern, file.name))
        return table

    def close(self) -> None:
        """Put back what was taken and not acknowledged."""
        if not self.closed:
            for queue in {tag.partition("/")[0] for tag in self.qos._delivered} | set(self._active_queues):
                self._put_back(queue, self._place(queue))
        super().close()

    # ------------------------------------------------------------ taking
    def _place(self, queue: str) -> Path:
        return self._root / queue / "cur" / self._mine

    def _take(self, queue: str) -> None:
        if time.monotonic() - self._recovered_at > RECOVER_SECONDS:
            self._recovered_at = time.monotonic()
            self._recover(queue)
        new = self._root / queue / "new"
        names = sorted(os.listdir(new))[:BATCH]
        place = self._place(queue)
        if names:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # another consumer was faster
                os.rename(new / name, place / name)
                self._buffer.append(name)

    def _recover(self, queue: str) -> None:
        """Put back what dead processes had taken."""
        for owner in (self._root / queue / "cur").iterdir():
            if self._owner.is_dead(owner.name):
                for place in owner.iterdir():
                    self._put_back(queue, place)
                with contextlib.suppress(OSError):
                    owner.rmdir()

    def _put_back(self, queue: str, place: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            for file in place.iterdir():
                os.rename(file, self._root / queue / "new" / file.name)
            place.rmdir()


class SpoolTransport(virtual.Transport):  # type: ignore[misc]
    """Registered as spool://."""

    Channel = SpoolChannel
    driver_type = "spool"
    driver_name = "maildir"
    polling_interval = POLL_SECONDS
    connection_errors = (*virtual.Transport.connection_errors, OSError)

    def driver_version(self) -> str:
        """The version of the on-disk form."""
        return "1"


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _text_of(message: dict[str, Any]) -> bytes:
    headers = {str(name): str(value) for name, value in (message.get("headers") or {}).items()}
    lines = "".join(f"{name}: {value}\n" for name, value in headers.items() if "\n" not in value)
    return (f"{lines}\n" if lines else "").encode() + body_of(message)


def _parse(raw: bytes) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a spool file; whatever has no header lines is all body."""
    found = _HEADERS.match(raw)
    if not found:
        return raw, {}
    lines = found[0].decode("utf-8", "replace").splitlines()
    pairs = (line.partition(":") for line in lines if line)
    return raw[found.end() :], {name.strip(): value.strip() for name, _, value in pairs}
