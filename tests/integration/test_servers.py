"""The servers of the tests themselves: they answer, come back with what they held, and share nothing between tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import psycopg
import pytest
import redis
from botocore.config import Config
from botocore.exceptions import ClientError
from kombu import Connection, Exchange, Queue
from sqlalchemy import create_engine, inspect, text

from tests.servers.buckets import S3Server, fresh_bucket
from tests.servers.moto import MotoServer
from tests.servers.ports import free_ports
from tests.servers.postgres import PostgresServer
from tests.servers.process import Process, ServerFailed, need
from tests.servers.rabbitmq import RabbitServer
from tests.servers.redis import RedisServer
from tests.servers.rgw import RgwServer
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


def s3(server: S3Server) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


@pytest.mark.parametrize("attempt", ["first", "second"])
def test_a_database_url_is_an_empty_database_each_time(database_url: str, attempt: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        assert inspect(connection).get_table_names() == []
        connection.execute(text("CREATE TABLE left_over (n integer)"))
    engine.dispose()


def test_a_fresh_database_is_dropped_while_somebody_is_connected(postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as url:
        engine = create_engine(url)
        held = engine.connect()
        held.execute(text("SELECT 1"))
    with psycopg.connect(postgres_server.url.replace("+psycopg", "")) as admin:
        found = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [urlsplit(url).path[1:]]).fetchone()
    assert found is None
    held.invalidate()
    engine.dispose()


def test_a_killed_postgres_comes_back_with_what_it_committed(postgres_server: PostgresServer) -> None:
    with postgres_server.fresh_database() as url:
        address = url.replace("+psycopg", "")
        with psycopg.connect(address) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        postgres_server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(address)
        postgres_server.start()
        with psycopg.connect(address) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_killed_redis_comes_back_with_what_it_acknowledged(redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.xadd("kept", {"n": 7})
    redis_server.kill()
    redis_server.start()
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.xlen("kept") == 1


def test_a_killed_rabbitmq_comes_back_with_what_it_confirmed(rabbitmq_server: RabbitServer) -> None:
    queue = Queue("kept", Exchange("kept", "direct"), routing_key="kept", durable=True)
    with Connection(rabbitmq_server.url, transport_options={"confirm_publish": True}) as connection:
        connection.Producer().publish("seven", exchange=queue.exchange, routing_key="kept", declare=[queue])
    rabbitmq_server.kill()
    rabbitmq_server.start()
    with Connection(rabbitmq_server.url) as connection:
        bound = queue(connection.channel())
        message = bound.get()
        assert message is not None and message.payload == "seven"
        bound.delete()
        bound.channel.exchange_delete("kept")


@pytest.mark.parametrize("attempt", ["first", "second"])
def test_a_border_url_is_an_empty_border_each_time(border_url: str, attempt: str) -> None:
    address = urlsplit(border_url)
    if address.scheme == "spool":
        directory = Path(address.path)
        assert not directory.exists()
        directory.mkdir()
    elif address.scheme == "redisstream":
        with redis.Redis.from_url(border_url.replace("redisstream", "redis", 1)) as client:
            assert client.keys() == []
            client.xadd("backstay.inbox", {"left": "over"})
    else:
        with Connection(border_url) as connection:
            queue = Queue("backstay.inbox", Exchange("backstay", "topic"), routing_key="#", durable=True)
            _, messages, consumers = queue(connection.channel()).queue_declare()
            assert (messages, consumers) == (0, 0)
            connection.Producer().publish("left over", exchange=queue.exchange, routing_key="x", declare=[queue])


@pytest.fixture(params=["moto", pytest.param("rgw", marks=pytest.mark.servers)])
def s3_server(request: pytest.FixtureRequest) -> MotoServer | RgwServer:
    server: MotoServer | RgwServer = request.getfixturevalue("moto_s3" if request.param == "moto" else "rgw")
    return server


def test_an_object_is_created_once_only(s3_server: S3Server) -> None:
    client, bucket = s3(s3_server), fresh_bucket(s3_server)
    client.put_object(Bucket=bucket, Key="manifest", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=bucket, Key="manifest", Body=b"second", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert client.get_object(Bucket=bucket, Key="manifest")["Body"].read() == b"first"


def test_a_killed_gateway_comes_back_with_its_objects(rgw: RgwServer) -> None:
    client, bucket = s3(rgw), fresh_bucket(rgw)
    client.put_object(Bucket=bucket, Key="kept", Body=b"seven")
    rgw.kill()
    rgw.start()
    fresh_bucket(rgw)
    assert s3(rgw).get_object(Bucket=bucket, Key="kept")["Body"].read() == b"seven"


def test_a_store_url_is_an_empty_store_whose_credentials_are_in_the_environment(store_url: str) -> None:
    address = urlsplit(store_url)
    if address.scheme == "file":
        assert not Path(address.path).exists()
        return
    (endpoint,) = parse_qs(address.query)["endpoint"]
    settings = Config(s3={"addressing_style": "path"})
    client = boto3.Session().client("s3", endpoint_url=endpoint, region_name="us-east-1", config=settings)
    assert client.list_objects_v2(Bucket=address.netloc)["KeyCount"] == 0


def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    process = Process(["sh", "-c", "echo no such disk >&2; exit 3"], tmp_path / "log")
    process.start()
    with pytest.raises(ServerFailed, match="no such disk"):
        process.wait_until(lambda: False, 10, "it listens")


def test_a_killed_process_takes_its_descendants_along(tmp_path: Path) -> None:
    """A grandchild in a session of its own, as PostgreSQL's and Erlang's are."""
    script = f"setsid sleep 600 & echo $! > {tmp_path}/grandchild; wait"
    process = Process(["sh", "-c", script], tmp_path / "log")
    process.start()
    named = tmp_path / "grandchild"
    grandchild = int(eventually(lambda: named.exists() and named.read_text(), what="the grandchild is named") or 0)
    process.kill()
    assert not _runs(grandchild)


def test_a_server_dies_with_a_killed_test_process(tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        from tests.servers.process import Process
        process = Process(["sleep", "600"], Path({str(tmp_path / "log")!r}))
        process.start()
        print(process.pid, flush=True)
        time.sleep(600)
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT) as tests:
        assert tests.stdout is not None
        server = int(tests.stdout.readline())
        name = Path(f"/proc/{server}/comm")
        eventually(lambda: name.read_text() == "sleep\n", what="the server runs")
        tests.send_signal(signal.SIGKILL)
    eventually(lambda: not _runs(server), what="the server followed the test process")


def test_a_missing_program_skips_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKSTAY_REQUIRE_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install some-package"):
        need("some-package", "no-such-program")


def test_a_missing_program_fails_where_servers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTAY_REQUIRE_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install some-package"):
        need("some-package", "no-such-program")


def test_free_ports_are_different_and_below_those_of_outgoing_connections() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert max(ports) < 32_768


def test_waiting_in_vain_fails_with_what_was_awaited() -> None:
    with pytest.raises(pytest.fail.Exception, match="until the operation settles"):
        eventually(lambda: False, seconds=0.02, what="the operation settles")


def test_waiting_gives_the_first_true_value() -> None:
    answers = iter([None, 0, "settled"])
    assert eventually(lambda: next(answers)) == "settled"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
