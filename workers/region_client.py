"""The port `Region` over HTTP: Rainbond's region API as it answers in truth, read leniently.

The only file here that speaks HTTP to the platform; what a reply means is decided in `domain/classify.py`.
One `send` is one attempt: no retries, no redirects, no proxies. Whatever the network does becomes a `Reply`,
which says whether the region can have seen the call. Bodies and tokens are never logged.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from domain.contracts.clock import Clock
from domain.errors import Refused
from domain.failpoint import failpoint
from domain.region import Call, Place, Reply, Scope, Trouble
from domain.region_calls import ID_LENGTHS
from workers.region_reply import BODY_LIMIT, parse_reply, skew_of
from workers.regions import RegionSettings
from workers.tracing import NO_TRACING, Hop, Tracer

FENCE = "X-Backstay-Fence"


class _Sending:
    """One call on its way: its connection, whether a byte has left, and whether it was cut for being slow.

    A time-out of sockets starts again with each byte, so a region that trickles could outlast our lease.
    """

    def __init__(self) -> None:
        self.sent = self.cut = False
        self._connection: HTTPConnection | None = None

    def depart(self, connection: HTTPConnection) -> None:
        """The first byte of the call is about to leave through `connection`."""
        self._connection = connection
        if self.cut:
            raise TimeoutError("connecting took too long")
        self.sent = True

    def stop(self) -> None:
        """Called by the watching thread: end whatever the call waits for."""
        self.cut = True
        sock = self._connection and self._connection.sock
        if sock:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not the method of TLS, which would not be safe here


class _Threads(threading.local):
    sending: _Sending = _Sending()


_THREAD = _Threads()


class _PlainConnection(HTTPConnection):
    """Tells when the first byte of a call leaves, so that no exception has to be interpreted."""

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _THREAD.sending.depart(self)
        super().send(data)


class _TlsConnection(HTTPSConnection):
    """The same through TLS."""

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _THREAD.sending.depart(self)
        super().send(data)


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class HttpRegion:
    """Every region of `settings`, one pool of kept connections each. Safe to use from many threads."""

    def __init__(self, settings: Mapping[str, RegionSettings], clock: Clock, tracer: Tracer = NO_TRACING) -> None:
        self._settings, self._clock, self._tracer = dict(settings), clock, tracer
        self._pools: dict[str, urllib3.HTTPConnectionPool] = {}
        self._lock = threading.Lock()

    def send(self, place: Place, call: Call, fence: int) -> Reply:
        """One attempt, as the port promises; a span of the trace that it is part of, which the region is told."""
        with self._tracer.span(
            f"region {call.name}", Hop.CALL, region=place.region, call=call.name, method=call.method
        ) as span:
            reply = self._send(place, call, fence, span.traceparent)
            span.note(status=reply.status, service=place.service_id)
            if reply.trouble is not None:
                span.fail(reply.trouble.value)
        return reply

    def _send(self, place: Place, call: Call, fence: int, traceparent: str | None) -> Reply:
        settings = self._of(place)
        request = _request(settings, place, call, fence)
        if traceparent is not None:
            request[3]["traceparent"] = traceparent
        _THREAD.sending = sending = _Sending()
        failpoint("region.before-send")
        began = self._clock.boottime()
        answered = self._exchange(settings, sending, request)
        took = round((self._clock.boottime() - began) * 1000)
        failpoint("region.after-reply")
        if isinstance(answered, str):
            trouble = Trouble.CUT if sending.sent else Trouble.NOT_SENT
            return Reply(message=f"{call.name}: {answered}"[:500], trouble=trouble, took_ms=took)
        now = self._clock.wall_ms() / 1000
        return parse_reply(*answered, ours=[call.body, settings.token], now=now, took_ms=took)

    def look(self, name: str) -> tuple[int, float | None, str]:
        """Whether the region answers anything at all: the status, how many seconds our clock is ahead of its, and,
        when there is no reply, why. Asks for nothing, and needs no right to anything."""
        settings, sending = self._settings[name], _Sending()
        _THREAD.sending = sending
        headers = {"Accept-Encoding": "identity", "User-Agent": "backstay"}
        answered = self._exchange(settings, sending, ("GET", urlsplit(settings.url).path or "/", None, headers))
        if isinstance(answered, str):
            return 0, None, answered
        status, told, _ = answered
        return status, skew_of(told, self._clock.wall_ms() / 1000), ""

    def longest_call(self, place: Place) -> float:
        """Seconds: connecting and TLS are bounded apart from the call; only name resolution is the system's."""
        settings = self._of(place)
        return settings.call_seconds + 2 * settings.connect_seconds

    def honours_fences(self, place: Place) -> bool:
        """As configured: a region cannot be asked."""
        return self._of(place).fenced

    def settle_seconds(self, place: Place) -> float:
        """As configured, in seconds."""
        return self._of(place).settle_seconds

    def retry_seconds(self, place: Place) -> float:
        """As configured, in seconds."""
        return self._of(place).retry_seconds

    def close(self) -> None:
        """Close what is kept open."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()

    def _of(self, place: Place) -> RegionSettings:
        try:
            return self._settings[place.region]
        except KeyError:
            raise Refused(
                f"this node does not know the region {place.region!r}",
                code="unknown-region",
                next_step="name it in BACKSTAY_REGIONS, or in a table [regions.NAME] of the configuration file",
            ) from None

    def _exchange(
        self, settings: RegionSettings, sending: _Sending, request: tuple[str, str, bytes | None, dict[str, str]]
    ) -> tuple[int, Mapping[str, str], bytes] | str:
        """(status, headers, body), or why there is no complete reply, in words."""
        timeout = urllib3.Timeout(connect=settings.connect_seconds, read=settings.call_seconds)
        watch = threading.Timer(settings.call_seconds + settings.connect_seconds, sending.stop)
        watch.daemon = True
        watch.start()
        try:
            response = self._pool(settings).urlopen(
                *request, retries=False, redirect=False, timeout=timeout,
                preload_content=False, decode_content=False, assert_same_host=False,
            )  # fmt: skip
            raw = response.read(BODY_LIMIT + 1)
            if len(raw) > BODY_LIMIT:
                response.close()
                return f"the reply is larger than {BODY_LIMIT >> 20} MiB and was not read"
            response.release_conn()
        except (urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError) as error:
            return _words(error)
        finally:
            watch.cancel()
        return "the region took too long to answer" if sending.cut else (response.status, response.headers, raw)

    def _pool(self, settings: RegionSettings) -> urllib3.HTTPConnectionPool:
        with self._lock:
            if settings.name not in self._pools:
                self._pools[settings.name] = _open(settings)
            return self._pools[settings.name]


def _open(settings: RegionSettings) -> urllib3.HTTPConnectionPool:
    parts = urlsplit(settings.url)
    host, many = str(parts.hostname), 64
    if parts.scheme == "http":
        return _PlainPool(host, parts.port, maxsize=many)
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.cert_file is not None:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return _TlsPool(host, parts.port, maxsize=many, ssl_context=context)


def _request(
    settings: RegionSettings, place: Place, call: Call, fence: int
) -> tuple[str, str, bytes | None, dict[str, str]]:
    """Method, target, body and headers; `tenant_id` becomes the region's own."""
    target = (
        f"{urlsplit(settings.url).path.rstrip('/')}/v2/tenants/{quote(settings.tenant_name(place.tenant_id), safe='')}"
    )
    if call.scope is Scope.SERVICE:
        target += f"/services/{quote(place.alias, safe='')}"
    headers = {FENCE: str(fence), "Accept-Encoding": "identity", "User-Agent": "backstay"}
    if settings.token is not None:
        headers["Authorization"] = settings.token
    if call.body is None:
        return call.method, target + call.path, None, headers
    headers["Content-Type"] = "application/json"
    body = call.body
    if isinstance(body, dict):
        body = json.dumps(_told(body, settings.tenant_key(place.tenant_id)))
    return call.method, target + call.path, body.encode(), headers


def _told(body: dict[str, Any], tenant_id: str) -> dict[str, Any]:
    """The body with the region's id of the tenant, or without any when it is none that a region takes: the path
    names the tenant too."""
    if "tenant_id" not in body:
        return body
    if len(tenant_id) in ID_LENGTHS:
        return body | {"tenant_id": tenant_id}
    return {name: value for name, value in body.items() if name != "tenant_id"}


def _words(error: Exception) -> str:
    """The kind of failure without addresses or paths, which the caller knows."""
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "the region's host name could not be resolved"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return "the region refused the connection"
    if isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError):
        return "the region did not answer in time"
    if isinstance(error, urllib3.exceptions.SSLError | ssl.SSLError):
        return f"TLS failed: {error}"[:300]
    return f"the connection failed ({type(error).__name__})"
