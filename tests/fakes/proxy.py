"""A TCP proxy that treats connections as badly as networks and overloaded stores do, in a fixed rotation.

Faults are per connection: `None` is none, a number cuts the connection after so many bytes of reply, `REFUSE` closes
it at once, `BUSY` answers 503 before the server sees anything, and a `Slow` passes replies on in drops.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

REFUSE, BUSY = "refuse", "busy"
_SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>later</Message></Error>"


@dataclass(frozen=True, slots=True)
class Slow:
    """So many bytes at a time, with a pause between."""

    piece: int
    seconds: float


Fault = None | int | str | Slow


class BadProxy:
    """Listens on a free port in front of `host:port`. `fired` counts the faults that happened."""

    def __init__(self, host: str, port: int, rotation: Sequence[Fault]) -> None:
        self._behind = (host, port)
        self._rotation: Iterator[Fault] = itertools.cycle(rotation)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.fired = 0
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """Stop listening and cut what is open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            _cut(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client, next(self._rotation)), daemon=True).start()

    def _serve(self, client: socket.socket, fault: Fault) -> None:
        self._open.add(client)
        try:
            if fault == REFUSE:
                self.fired += 1
            elif fault == BUSY:
                self.fired += 1
                client.recv(65536)
                head = f"HTTP/1.1 503 Slow Down\r\nContent-Length: {len(_SLOW_DOWN)}\r\nConnection: close\r\n\r\n"
                client.sendall(head.encode() + _SLOW_DOWN)
            else:
                self._join(client, fault)
        except OSError:
            pass
        finally:
            _cut(client)
            self._open.discard(client)

    def _join(self, client: socket.socket, fault: Fault) -> None:
        with socket.create_connection(self._behind) as server:
            threading.Thread(target=_pump, args=(client, server), daemon=True).start()
            left = fault if isinstance(fault, int) else None
            while data := server.recv(fault.piece if isinstance(fault, Slow) else 65536):
                if isinstance(fault, Slow):
                    time.sleep(fault.seconds)
                    self.fired += 1
                if left is not None and len(data) > left:
                    client.sendall(data[:left])
                    self.fired += 1
                    return
                client.sendall(data)
                left = None if left is None else left - len(data)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _cut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
