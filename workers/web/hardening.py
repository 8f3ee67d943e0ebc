"""What every answer carries and every request is held to, whatever route it is for.

Apart from the routes so that none can forget it. Browsers are told to run nothing but our own files, to show no page
of ours within another's, and to keep nothing; a body that is too large is refused before it is read.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workers.web.problems import Problem

#: Bytes of a request's body; a command has at most as many.
MAX_BODY = 1 << 20

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: browsers would then send `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}
#: For a year, once a browser has come by https.
TLS_ONLY = "max-age=31536000"


class Hardened:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, *, tls: bool = False) -> None:
        """`tls`: browsers reach us by https, whatever the scheme of the request here is."""
        self.app, self._tls = app, tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with our headers where the route has not set its own."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        tls = self._tls or scope.get("scheme") == "https"

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if tls:
                    headers.setdefault("strict-transport-security", TLS_ONLY)
            await send(message)

        if _too_large(Headers(scope=scope)):
            sentence = f"the body has more than {MAX_BODY} bytes, or does not say how many"
            problem = Problem(413, "too-large", sentence, "send less, and with a Content-Length")
            await problem.response()(scope, receive, hardened)
            return
        await self.app(scope, receive, hardened)


def _too_large(headers: Headers) -> bool:
    """A body without a length could be endless, so it needs one; uvicorn holds the sender to it."""
    length = headers.get("content-length", "0")
    return "transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_BODY
