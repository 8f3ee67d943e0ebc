"""Bytes on the socket of the HTTP server, where requests should be: any answer but 5xx, and the server lives.

Bytes that are no request need no answer, so a server that hangs is not seen by them: every so often, and at the end, it
is asked for its health.

Apart from the tests of routes, which send requests: what is no request, or half of one, or two, comes here.
"""

from __future__ import annotations

import atexit
import re
import socket
import tempfile
from contextlib import ExitStack, suppress
from functools import cache
from itertools import count
from pathlib import Path

from tests.fuzz.target import Target
from tests.site import Site, site
from workers.web import connections

#: Seconds in which an answer goes on, or the connection is given up.
_PATIENCE = 0.5
#: Seconds in which a server that has anything left to say says it, however busy the machine is.
_LONG = 20.0
#: After so many inputs its health is asked for.
_EVERY = 16
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")
#: What follows the bytes, so that a connection ends whose requests were whole.
_LAST = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
#: Kept by the readiness check of a process without a worker.
_FINE = {b"503"}
_count = count(1)


@cache
def _opened() -> tuple[Site, str]:
    stack = ExitStack()
    here = stack.enter_context(site(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "data", own=True))
    atexit.register(stack.close)
    return here, here.token("fuzzer", everywhere="admin")


def _one(data: bytes) -> None:
    here, token = _opened()
    before = connections.REQUEST_SECONDS
    connections.REQUEST_SECONDS = _PATIENCE / 5  # half a request is given up soon
    try:
        told = _told(here, data.replace(b"$TOKEN", token.encode()) + _LAST, _PATIENCE)
    finally:
        connections.REQUEST_SECONDS = before
    for status in _STATUS.findall(told):
        assert status < b"500" or status in _FINE, told[:2000]
    if next(_count) % _EVERY == 0:
        _lives()


def _lives() -> None:
    here, _ = _opened()
    assert _STATUS.findall(_told(here, _LAST, _LONG)) == [b"200"], "the server does not answer any more"


def statuses(seed: bytes) -> list[bytes]:
    """What a whole request, and the one behind it, are answered with."""
    here, token = _opened()
    return _STATUS.findall(_told(here, seed.replace(b"$TOKEN", token.encode()) + _LAST, _LONG))


def _told(here: Site, data: bytes, patience: float) -> bytes:
    """All that is answered until the connection is closed, or nothing comes for so long."""
    host, _, port = here.address.rpartition(":")
    told = bytearray()
    with (
        suppress(TimeoutError, ConnectionError),
        socket.create_connection((host, int(port)), timeout=patience) as connection,
    ):
        connection.sendall(data)
        while piece := connection.recv(65536):
            told += piece
    return bytes(told)


def _seeds() -> list[bytes]:
    """Requests of every kind: reads, commands, forms, downloads, and what is at the edge of the protocol."""
    who = b"host: x\r\nauthorization: Bearer $TOKEN\r\n"
    form = b"token=$TOKEN&next=/operations"
    wrong = b"at=/operations?state=STUCK&reason="
    body = b'{"labels": ["a:b"]}'
    posted = b"content-type: application/x-www-form-urlencoded\r\ncontent-length: "
    paths = (
        b"/", b"/api/v1/operations?limit=5&before=x", b"/api/v1/snapshots?label=a:b&tenant=acme", b"/metrics",
        b"/exports/0192f0c1-0000-7000-8000-000000000001?until=1&signature=0", b"/static/console.css",
        b"/login?next=//x", b"/dead-letters/groups/0000000000000000", b"/snapshots?label=a%3Ab&before=%00",
        b"/api/v1/audit?limit=1",
    )  # fmt: skip
    give = b"POST /api/v1/tenants/acme/services/web/create-snapshot HTTP/1.1\r\n" + who
    return [
        *(b"GET %s HTTP/1.1\r\n%saccept: text/html\r\n\r\n" % (path, who) for path in paths),
        give + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body),
        give + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST /login HTTP/1.1\r\nhost: x\r\n%s%d\r\n\r\n%s" % (posted, len(form), form),
        b"POST /snapshots/x/verify HTTP/1.1\r\n%s%s%d\r\n\r\n%s" % (who, posted, len(form), form),
        b"POST /services/web/snapshot HTTP/1.1\r\naccept: text/html\r\n%s%s%d\r\n\r\n%s"
        % (who, posted, len(wrong), wrong),
        b"GET /exports/0192f0c1-0000-7000-8000-000000000001 HTTP/1.1\r\nhost: x\r\nrange: bytes=0-5\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\ncookie: backstay=x; __Host-backstay=y\r\nconnection: upgrade\r\n\r\n",
        b"OPTIONS * HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ]


TARGET = Target("web", _one, _seeds, _lives)
