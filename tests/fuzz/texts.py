"""Short texts with a grammar of their own: addresses, key rings, cron, patterns, limits, ranges, ways back, replies.

Apart from messages because these have one error each that they promise; whatever else comes out is a finding. The
sentences of those errors must not hold the password of an address.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

from domain.errors import BackstayError, InvalidMessage, Refused
from storage import s3_address
from storage.archive.exclusion import Exclusion
from storage.sealing import KeyRing
from storage.sql.engine import parse_url
from storage.store import open_store
from tests.fuzz.target import Target, spread
from workers import limits, scrub, values
from workers.cli.spans import seconds_of
from workers.cron import CronCalendar
from workers.region_reply import parse_reply
from workers.regions import parse_regions
from workers.replicas import parse_policy, parse_replicas
from workers.sources import parse_hooks, parse_places, parse_sources
from workers.web import credentials, downloads, login

SECRET = "hunter2hunter2"
Reader = Callable[[str], Any]
#: What is given a password in earnest.
HOLDING = {"database", "store", "s3", "ring", "regions", "places", "replicas", "url", "address"}


def _promising(name: str, read: Reader, *errors: type[Exception]) -> Callable[[bytes], None]:
    """The reader with the errors that it promises; where passwords belong, none of them may quote one."""

    def one(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        try:
            read(text)
        except errors as error:
            assert name not in HOLDING or SECRET not in str(error), "a password is in a sentence"

    return one


def _cron(text: str) -> None:
    cron, _, zone = text.partition("|")
    calendar = CronCalendar()
    calendar.check(cron, zone or "UTC")
    at = 0
    for _ in range(3):
        following = calendar.after(cron, zone or "UTC", at)
        assert following > at or following == 0
        at = following


def _pattern(text: str) -> None:
    made = Exclusion(text.split("\n"))
    for path in (b"a", b"a/b/c/d.log", b"a" * 200, b"a/" * 60 + b"b", "ü\udcff".encode("utf-8", "surrogateescape")):
        made.leaves_out(path, True)


def _inside(text: str) -> None:
    """Where a log-in leads is a path of ours, as a browser reads it too."""
    led = login.inside(text)
    read = urlsplit(led.replace("\\", "/").lstrip("\t\n\r "))
    assert led.startswith("/") and not read.netloc and not read.scheme


def _range(text: str) -> None:
    for size in (0, 1, 1000):
        found = downloads._part(text, size)
        assert found is None or 0 <= found[0] <= found[1] <= size


def _reply(text: str) -> None:
    head, _, body = text.partition("\n")
    parse_reply(200, {"Retry-After": head}, body.encode(), ours=("value of ours",), now=1.0)


def _secret(text: str) -> None:
    credentials.digest(text)
    credentials.equal(text, "x")


def _address(text: str) -> None:
    """Whatever looks like an address is read; and of a password in one, whatever it is made of, none is left when it
    was scrubbed."""
    _passwords(text)
    password = quote(text, safe="")
    for address in (f"amqp://u:{password}@h//", f"s3://b/p?secret_access_key={password}&region=x"):
        left = scrub.scrubbed(address, _passwords(address))
        assert len(password) < scrub.SHORTEST or password not in left, "a password is in an address that was scrubbed"


def _passwords(address: str) -> set[str]:
    settings = SimpleNamespace(
        database_url=address, broker_url="", store_url="", replicas=None, places=None, regions=None
    )
    return scrub.secrets_of_settings(settings, "")  # type: ignore[arg-type]


#: name -> (reader, errors that it promises, texts to begin with)
READERS: dict[str, tuple[Reader, tuple[type[Exception], ...], tuple[str, ...]]] = {
    "database": (parse_url, (Refused,), (f"postgresql://u:{SECRET}@h:5432/d?sslmode=require", "sqlite:////x/y.db")),
    "store": (open_store, (BackstayError,), ("file:///var/lib/x", "s3://b/p?endpoint=http://h:1&region=x", "memory://a")),
    "s3": (s3_address.parse, (Refused, InvalidMessage), (f"s3://k:{SECRET}@b/p?addressing=path&checksums=when_required",)),
    "ring": (KeyRing.parse, (Refused,), ("k1:" + "A" * 43 + "=,k2:" + "B" * 43 + "=",)),
    "cron": (_cron, (InvalidMessage,), ("*/5 1-3 * * mon|Europe/Berlin", "@daily", "0 0 L * 5#2|UTC")),
    "pattern": (_pattern, (InvalidMessage,), ("*.log\n!keep.log\n/a/**/b\n[a-z]?\\*",)),
    "regions": (parse_regions, (ValueError,), (json.dumps({"m": {"url": "http://h", "token": SECRET}}),)),
    "sources": (parse_sources, (ValueError,), (json.dumps({"d": {"kind": "command", "save": ["a"]}}),)),
    "hooks": (parse_hooks, (ValueError,), (json.dumps({"before_snapshot": ["/bin/true"], "seconds": 5}),)),
    "places": (parse_places, (ValueError,), (json.dumps({"old": {"url": "file:///x", "tenants": ["*"]}}),)),
    "replicas": (parse_replicas, (ValueError,), ("off=s3://b/p?region=x,near=file:///y",)),
    "policy": (parse_policy, (ValueError,), ("all", "off,near")),
    "size": (limits.size, (ValueError,), ("10GiB", "5%")),
    "rate": (limits.rate, (ValueError,), ("20MiB/s",)),
    "slots": (limits.slots, (ValueError,), ("create-snapshot=2,restore-snapshot=1",)),
    "span": (lambda text: seconds_of(text, "--rpo"), (BackstayError,), ("1d 12h", "90min")),
    "url": (values.url("http", "https"), (ValueError,), (f"https://u:{SECRET}@h:8/p",)),
    "listen": (values.address, (ValueError,), ("127.0.0.1:80", "[::1]:0")),
    "inside": (_inside, (), ("/operations?state=STUCK", "//evil.example", "/\\evil")),
    "range": (_range, (), ("bytes=0-5", "bytes=-7", "bytes=9-")),
    "reply": (_reply, (), ('5\n{"list": [], "msg": "value of ours"}{"code": 1}', "Wed, 21 Oct 2026 07:28:00")),
    "secret": (_secret, (), ("bks_" + "A" * 43,)),
    "address": (_address, (), (f"amqp://u:{SECRET}@h//?password={SECRET}", "päss/word?&=#@:1")),
}  # fmt: skip


def _seeds() -> list[bytes]:
    return [bytes([number]) + text.encode() for number, (_, _, texts) in enumerate(READERS.values()) for text in texts]


TARGET = Target(
    "texts", spread(*(_promising(name, read, *errors) for name, (read, errors, _) in READERS.items())), _seeds
)
