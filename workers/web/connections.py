"""How long and how often somebody may keep a connection of ours: a bound for clients that never finish a request.

Apart from the server, which binds and runs, because uvicorn waits for ever for the rest of a request and takes as many
connections as there are files; this process needs files for its other work. A connection beyond the bound is closed at
once, and one whose request is not whole in time is closed then.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Connections at a time. People and programs that watch a node need a few.
MOST = 200
#: From the first byte, or from the connection, to the last byte of a request.
REQUEST_SECONDS = 30.0
_UNFINISHED = (h11.IDLE, h11.SEND_BODY)


class BoundedProtocol(H11Protocol):
    """One connection."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.abort()
            return
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Read on; a request that is whole by now may take as long as its answer does."""
        super().data_received(data)
        if self.conn.their_state in _UNFINISHED:
            self._expect()
        else:
            self._relax()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._relax()
        super().connection_lost(exc)

    def _expect(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self._give_up)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.conn.their_state in _UNFINISHED:
            self.transport.abort()
