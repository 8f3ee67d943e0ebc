"""The fixtures that more than one suite uses: real servers, and one URL per implementation of a port.

Apart from `tests/servers`, which knows how to run the products: here is only who gets which one, and for how long.
A server starts when the first test asks for it and ends with the session. A suite that takes `database_url`,
`border_url` or `store_url` runs once per implementation, each time on an empty one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import structlog
from _pytest.mark import ParameterSet
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests import dying
from tests.servers.buckets import credentials, fresh_bucket, store_url_of
from tests.servers.moto import MotoServer
from tests.servers.postgres import PostgresServer, postgres_programs
from tests.servers.process import need
from tests.servers.rabbitmq import RABBITMQ_SERVER, RabbitServer
from tests.servers.redis import RedisServer
from tests.servers.rgw import RgwServer
from tests.servers.server import Server

S = TypeVar("S", bound=Server)

# A change is judged by the same examples every time; PYTEST_ARGS=--hypothesis-profile=explore draws others.
# What draws or runs slowly is no fault: a busy machine would make it one.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", _PATIENT, derandomize=False)
settings.register_profile("same", _PATIENT, derandomize=True)
settings.load_profile("same")

#: Files whose tests ask for the gateway, by their names from the root.
WITH_GATEWAY = {
    "tests/chaos/test_real_servers.py",
    "tests/contract/test_archive.py",
    "tests/contract/test_misbehaving_store.py",
    "tests/contract/test_object_store.py",
    "tests/integration/test_servers.py",
}
REAL_SERVERS = {"postgres_server", "redis_server", "rabbitmq_server", "rgw"}


def real(name: str) -> ParameterSet:
    """A parameter that means a real server: its tests carry the mark `servers`."""
    return pytest.param(name, marks=pytest.mark.servers, id=name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what asks for a server by name, so that `-m "not servers"` starts none."""
    for item in items:
        if REAL_SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.servers)


def pytest_configure(config: pytest.Config) -> None:
    """All processes of this run note deaths in one file."""
    if not hasattr(config, "workerinput"):
        config.add_cleanup(dying.begin())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if _is_whole(config):
        terminalreporter.write_line(dying.told())


def _is_whole(config: pytest.Config) -> bool:
    """Nobody has chosen some of the tests."""
    chosen = config.option.keyword or config.option.markexpr or getattr(config.option, "lf", False)
    return config.args_source is not pytest.Config.ArgsSource.ARGS and not chosen


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """A file is run by one process, and all those that need the gateway by the same one: it starts longer than they
    run."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "gateway" if file in WITH_GATEWAY else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


@pytest.fixture(autouse=True, scope="module")
def logging_of_its_own() -> Iterator[None]:
    """Logging belongs to the process, and a node or a demo run inside a test sets it: the next file begins anew.

    What nodes inside tests say goes to the standard library, not to stdout, which is where a command answers.
    """
    root, raising, configured = logging.getLogger(), logging.raiseExceptions, structlog.get_config()
    handlers, level = list(root.handlers), root.level
    plain = structlog.processors.KeyValueRenderer(key_order=["event"])
    structlog.configure(processors=[plain], logger_factory=structlog.stdlib.LoggerFactory())
    yield
    root.handlers[:], logging.raiseExceptions = handlers, raising
    root.setLevel(level)
    structlog.configure(**configured)


def _running(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    need("postgresql", str(postgres_programs() / "initdb"), str(postgres_programs() / "postgres"))
    yield from _running(PostgresServer())


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    need("redis-server", "redis-server")
    yield from _running(RedisServer())


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitServer]:
    need("rabbitmq-server", str(RABBITMQ_SERVER), "epmd")
    yield from _running(RabbitServer())


@pytest.fixture(scope="session")
def rgw() -> Iterator[RgwServer]:
    need("radosgw ceph-mon ceph-osd ceph-common", "radosgw", "ceph-mon", "ceph-osd", "ceph", "radosgw-admin")
    yield from _running(RgwServer())


@pytest.fixture(scope="session")
def moto_s3() -> Iterator[MotoServer]:
    server = MotoServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres_url(postgres_server: PostgresServer) -> str:
    return postgres_server.url


@pytest.fixture(scope="session")
def redis_url(redis_server: RedisServer) -> str:
    return redis_server.url


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq_server: RabbitServer) -> str:
    return rabbitmq_server.url


@pytest.fixture
def fresh_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A new, empty database on the real server."""
    postgres_server.start()
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture(params=["sqlite", real("postgresql")])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind the product runs on."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/backstay.db"
    url: str = request.getfixturevalue("fresh_postgres_url")
    return url


@pytest.fixture(params=["spool", real("redisstream"), real("amqp")])
def border_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty message broker of each kind the product listens to."""
    if request.param == "spool":
        return f"spool://{tmp_path}/spool"
    if request.param == "redisstream":
        streams: RedisServer = request.getfixturevalue("redis_server")
        streams.start()
        streams.empty()
        return f"redisstream{streams.url.removeprefix('redis')}"
    rabbit: RabbitServer = request.getfixturevalue("rabbitmq_server")
    rabbit.start()
    rabbit.empty()
    return rabbit.url


@pytest.fixture(params=["file", "s3-moto", real("s3-rgw")])
def store_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty object store of each kind, with its credentials in the environment."""
    if request.param == "file":
        return f"file://{tmp_path}/store"
    server: MotoServer | RgwServer
    if request.param == "s3-moto":
        server = request.getfixturevalue("moto_s3")
    else:
        server = request.getfixturevalue("rgw")
        server.start()
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in credentials(server).items():
        monkeypatch.setenv(name, value)
    return store_url_of(server, fresh_bucket(server))
