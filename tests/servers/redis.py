"""Redis, with the append-only file that the product asks for.

Apart from the other servers because of its settings: `noeviction` (a stream must refuse rather than forget) and an
append-only file, which survives a killed process whole, since only a power cut loses what the kernel has.
"""

from __future__ import annotations

import redis

from tests.servers.ports import LOOPBACK, free_ports
from tests.servers.process import Process
from tests.servers.server import Server


class RedisServer(Server):
    """One redis-server; `url` is database 0."""

    name = "redis"

    def __init__(self) -> None:
        super().__init__()
        (self.port,) = free_ports(1)

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        settings = {
            "bind": LOOPBACK,
            "port": self.port,
            "dir": self.directory,
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        options = [str(part) for key, value in settings.items() for part in (f"--{key}", value)]
        self.front = Process(["redis-server", *options], self.directory / "redis.log")

    def launch(self) -> None:
        self.front.start()
        self.front.wait_until(self._answers, 120, "redis-server answers PING")

    def empty(self) -> None:
        """Forget every key of every database."""
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:  # not listening yet, or still loading its file
            return False
