"""The stacks that are proved: which database, broker and store belong together, started for one proof."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from storage.sealing import KeyRing
from tests.servers.buckets import credentials, fresh_bucket, store_url_of
from tests.servers.postgres import PostgresServer
from tests.servers.rabbitmq import RabbitServer
from tests.servers.redis import RedisServer
from tests.servers.rgw import RgwServer
from tests.servers.server import Server

#: Name -> what it consists of, in words for the table.
STACKS = {
    "embedded": "SQLite, spool, folder",
    "redis": "PostgreSQL, Redis Streams, Ceph RGW",
    "rabbit": "PostgreSQL, RabbitMQ, Ceph RGW",
}


class Servers:
    """The servers of one stack, by what they are; empty for the embedded one."""

    def __init__(self) -> None:
        self.running: dict[str, Server] = {}
        #: The environment for another database, broker and bucket, which nodes of the first do not see.
        self.beside: Callable[[], dict[str, str]] = dict

    def start(self, server: Server, closing: ExitStack) -> None:
        """Start it now, close it with the stack."""
        closing.callback(server.close)
        server.start()
        self.running[server.name] = server


@contextlib.contextmanager
def stack(name: str, home: Path) -> Iterator[tuple[dict[str, str], Servers]]:
    """The environment in which a node uses that stack, and its servers."""
    with ExitStack() as closing:
        servers = Servers()
        if name == "embedded":
            yield {}, servers
            return
        postgres, store = PostgresServer(), RgwServer()
        for server in (postgres, store):
            servers.start(server, closing)
        # boto3 reads its keys from the environment, of this process and of those that it forks.
        os.environ.update(credentials(store))
        broker = _broker(name)
        servers.start(broker, closing)
        servers.beside = partial(_beside, name, postgres, store, closing)
        yield _environment(postgres, store, broker, closing), servers


def _broker(name: str) -> RedisServer | RabbitServer:
    return RedisServer() if name == "redis" else RabbitServer()


def _beside(name: str, postgres: PostgresServer, store: RgwServer, closing: ExitStack) -> dict[str, str]:
    broker = _broker(name)
    closing.callback(broker.close)
    broker.start()
    return _environment(postgres, store, broker, closing)


def _environment(
    postgres: PostgresServer, store: RgwServer, broker: RedisServer | RabbitServer, closing: ExitStack
) -> dict[str, str]:
    url = broker.url
    return {
        "DATABASE_URL": closing.enter_context(postgres.fresh_database()),
        "BROKER_URL": f"redisstream{url.removeprefix('redis')}" if url.startswith("redis:") else url,
        "BACKSTAY_STORE_URL": store_url_of(store, fresh_bucket(store)),
        "BACKSTAY_SECRET_KEYS": KeyRing.generate_text(),
    }
