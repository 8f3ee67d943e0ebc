"""moto's S3 in a thread of the test process: the quick stand-in that is always there.

Apart from `rgw.py`, the real thing: moto ignores wrong signatures and digests, so that a test of those belongs
there. It has no process to kill.
"""

from __future__ import annotations

from moto.server import ThreadedMotoServer

from tests.servers.ports import LOOPBACK
from tests.servers.rgw import RgwServer


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

    def stop(self) -> None:
        self._server.stop()
