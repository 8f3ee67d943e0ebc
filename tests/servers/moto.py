"""moto's S3 in a thread of the test process: the quick stand-in that is always there.

Apart from `rgw.py`, the real thing: moto ignores wrong signatures and digests, so that a test of those belongs
there. It has no process to kill. And it looks whether an object is there before it writes it, while other threads do
the same: what is written under a condition is therefore taken one by one, as an S3 does it.
"""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

from moto.server import ThreadedMotoServer
from werkzeug.wsgi import get_input_stream

from tests.servers.ports import LOOPBACK
from tests.servers.rgw import RgwServer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def one_by_one(app: WSGIApplication) -> WSGIApplication:
    """Whoever writes under a condition decides and writes before the next one looks."""
    mutex = threading.Lock()

    def taken(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "HTTP_IF_NONE_MATCH" not in environ and "HTTP_IF_MATCH" not in environ:
            return app(environ, start_response)
        body = get_input_stream(environ).read()  # before the lock: it comes as fast as the client sends it
        with mutex:
            return list(app({**environ, "wsgi.input": io.BytesIO(body)}, start_response))

    return taken


class MotoServer:
    """An S3 without memory of other runs, on a port the kernel chose."""

    # Ceph's keys too: boto3's default session keeps the first credentials it finds in the environment.
    access_key = RgwServer.access_key
    secret_key = RgwServer.secret_key

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)

    @property
    def endpoint(self) -> str:
        _, port = self._server.get_host_and_port()
        return f"http://{LOOPBACK}:{port}"

    def start(self) -> None:
        self._server.start()
        server = self._server._server
        assert server is not None
        server.app = one_by_one(server.app)

    def stop(self) -> None:
        self._server.stop()
