"""Publishing and listening without kombu or Python: the commands of docs/messages.md, run as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fakes.door import FakeDoor
from tests.waiting import eventually
from workers.border import Publisher
from workers.ingress import Ingress

PATH = "/usr/bin:/bin:/usr/sbin"
PAGE = Path(__file__).parents[2] / "docs" / "messages.md"


def shown(title: str) -> str:
    """The first shell block beneath a heading of the page."""
    found = re.search(rf"^### {re.escape(title)}$.*?^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"docs/messages.md shows no shell commands beneath {title!r}"
    return found[1]


def run(script: str, **environment: str) -> None:
    subprocess.run(["bash", "-euc", script], check=True, env={"PATH": PATH, **environment}, timeout=30)


def heard(border_url: str, script: str, **environment: str) -> str:
    """What a listening script prints while events are told, one that it wants among others."""
    listener = subprocess.Popen(
        ["bash", "-euc", script], env={"PATH": PATH, **environment}, stdout=subprocess.PIPE, text=True
    )
    publisher = Publisher(border_url)

    def told() -> bool:
        publisher.event({"id": "no"}, "create-snapshot.succeeded.acme")
        publisher.event({"id": "yes"}, "create-snapshot.failed.acme")
        return listener.poll() is not None

    eventually(told, what="the listener has heard an event and ended")
    publisher.close()
    return listener.communicate()[0]


def needs(program: str) -> None:
    if shutil.which(program) is None:
        absent = pytest.fail if os.environ.get("BACKSTAY_REQUIRE_SERVERS") == "1" else pytest.skip
        absent(f"{program} is not installed: apt-get install amqp-tools redis-tools")


@pytest.mark.parametrize("border_url", ["amqp"], indirect=True)
def test_amqp_publish_reaches_the_inbox(border_url: str, intake: Ingress, door: FakeDoor) -> None:
    needs("amqp-publish")
    run(shown("RabbitMQ, from a shell"), BROKER_URL=f"{border_url.removesuffix('//')}/%2F")
    eventually(lambda: door.ids() == ["backup-2026-11-20-web"], what="the command is accepted")


@pytest.mark.parametrize("border_url", ["redisstream"], indirect=True)
def test_redis_cli_reaches_the_inbox(border_url: str, intake: Ingress, door: FakeDoor) -> None:
    needs("redis-cli")
    run(shown("Redis, from a shell"), REDIS_URL=border_url.replace("redisstream", "redis"))
    eventually(lambda: door.ids() == ["backup-2026-11-20-web"], what="the command is accepted")


@pytest.mark.parametrize("border_url", ["spool"], indirect=True)
def test_a_file_that_is_renamed_into_the_spool_reaches_the_inbox(
    border_url: str, intake: Ingress, door: FakeDoor
) -> None:
    run(shown("Spool, from a shell"), SPOOL=border_url.removeprefix("spool://"))
    eventually(lambda: door.ids() == ["backup-2026-11-20-web"], what="the command is accepted")


@pytest.mark.parametrize("border_url", ["redisstream"], indirect=True)
def test_redis_cli_hears_the_events_that_it_asked_for(border_url: str) -> None:
    needs("redis-cli")
    text = heard(
        border_url, shown("Redis, listening from a shell"), REDIS_URL=border_url.replace("redisstream", "redis")
    )
    assert '{"id": "yes"}' in text
    assert '{"id": "no"}' not in text


@pytest.mark.parametrize("border_url", ["spool"], indirect=True)
def test_a_folder_hears_the_events_that_it_asked_for(border_url: str) -> None:
    text = heard(border_url, shown("Spool, listening from a shell"), SPOOL=border_url.removeprefix("spool://"))
    assert '{"id": "yes"}' in text
    assert '{"id": "no"}' not in text


def test_the_page_s_example_event_is_valid() -> None:
    found = re.search(r"^```json\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found
    assert json.loads(found[1])["type"] == "backstay.create-snapshot.v1"
