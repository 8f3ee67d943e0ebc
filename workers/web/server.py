"""uvicorn in a thread of a process that has other work, and without a say in its signals.

Apart from the application because it knows sockets and threads and no route. The address is bound when
the object is made: a port that is taken is a sentence before the node starts, and port 0 works.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from domain.errors import Refused
from workers.web.connections import BoundedProtocol

#: Seconds that `stop` waits for requests in hand.
STOP_SECONDS = 5
#: After which a connection ends whose client takes nothing of its answer. The kernel sees to it, which knows what has
#: arrived; whoever reads slowly, but reads, has time without end.
UNREAD_SECONDS = 120


class HttpServer:
    """Serves one ASGI application. `start()`, then `stop()`; `address` is HOST:PORT as bound."""

    def __init__(self, app: Callable[..., Awaitable[Any]], address: str) -> None:
        """Bind to `HOST:PORT` (a host with colons in brackets); Refused when that is not possible."""
        self._socket = _bind(address)
        host, port = self._socket.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        config = uvicorn.Config(
            app,
            log_config=None,  # the process has configured logging already
            log_level="error",  # a warning for each request that is none would let anybody fill a log
            access_log=False,
            lifespan="off",
            server_header=False,
            http=BoundedProtocol,
            ws="none",
            # A proxy on this host says for whom it asks and by which scheme; nobody else is believed.
            forwarded_allow_ips="127.0.0.1",
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = uvicorn.Server(config)
        # uvicorn takes the signals of the process only when it runs in the main thread.
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer; connections have been queueing since the address was bound."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the requests in hand and close the socket."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])


def _bind(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        if not 0 <= int(port) <= 65535:  # the resolver would take it modulo 65536 and listen elsewhere
            raise ValueError("a port is a number from 0 to 65535")
        family, _, _, _, place = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.create_server(place[:2], family=family, backlog=128)
    except (OSError, ValueError) as error:
        raise Refused(
            f"cannot listen on {address}: {error}",
            code="address-not-usable",
            next_step="choose another address with --http or BACKSTAY_HTTP; port 0 takes any free one",
        ) from None
    # What is accepted has it from the socket that listens.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNREAD_SECONDS * 1000))
    return made
