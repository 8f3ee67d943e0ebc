"""`/exports/SNAPSHOT_ID`: archives of a store that has no addresses of its own, for whoever was given a signed one.

Apart from health because this hands out tenants' data. An address names one archive and a time, and is worth
nothing without the signature over both, which only holders of the key ring can make. No login, no listing.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from domain.contracts import Catalogue, Clock, ObjectStore
from domain.errors import BackstayError, Damaged
from domain.identity import is_id
from domain.snapshot import Export

#: Bytes that are read from the store at a time.
PIECE = 1 << 20
_MILLISECONDS = re.compile(r"[0-9]{1,15}\Z")
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})\Z")


@dataclass(frozen=True, slots=True)
class Downloads:
    """Makes addresses, and answers to them. `sign` is a keyed digest."""

    catalogue: Catalogue
    store: ObjectStore
    clock: Clock
    sign: Callable[[bytes], bytes]

    def address(self, base: str, export: Export, seconds: int) -> str:
        """Where the archive can be fetched from `base` for so long."""
        until = self.clock.wall_ms() + seconds * 1000
        query = urlencode({"until": until, "signature": self._signature(export.object_key, until)})
        return f"{base.rstrip('/')}/exports/{quote(export.snapshot_id)}?{query}"

    def endpoint(self, request: Request) -> Response:
        """The archive, or a part of it: 200 or 206; 403 for a wrong address, 410 when its time is over, 404 when the
        store has lost the archive."""
        given_until = request.query_params.get("until", "")
        until = int(given_until) if _MILLISECONDS.match(given_until) else 0
        snapshot_id = request.path_params["snapshot_id"]
        try:
            # A text that is no id is not for a database, which may not take every character.
            export = self.catalogue.export_of(snapshot_id) if is_id(snapshot_id) else None
        except BackstayError as error:
            return _refusal(503, str(error))
        given = request.query_params.get("signature", "")
        # Without an archive a signature is compared all the same: nobody learns which snapshots exist.
        right = self._signature(export.object_key if export else "", until)
        if not hmac.compare_digest(given.encode(), right.encode()) or export is None:
            return _refusal(403, "this address is not valid; ask for a new one")
        if until < self.clock.wall_ms():
            return _refusal(410, "the time of this address is over; ask for a new one")
        return self._send(request, export)

    def _signature(self, key: str, until: int) -> str:
        return self.sign(f"export|{key}|{until}".encode()).hex()

    def _send(self, request: Request, export: Export) -> Response:
        wanted = _part(request.headers.get("range", ""), export.bytes)
        if wanted is None:
            return Response(status_code=416, headers={"content-range": f"bytes */{export.bytes}"})
        start, end = wanted
        headers = {
            "content-disposition": f'attachment; filename="{export.snapshot_id}.tar.zst"',
            "content-length": str(end - start),
            "accept-ranges": "bytes",
            "etag": f'"{export.sha256}"',
            "cache-control": "private, no-store",
            "x-content-type-options": "nosniff",
        }
        status = 200 if (start, end) == (0, export.bytes) else 206
        if status == 206:
            headers["content-range"] = f"bytes {start}-{end - 1}/{export.bytes}"
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers, media_type="application/zstd")
        pieces = self._pieces(export.object_key, start, end)
        try:
            first = next(pieces)  # before the status is sent, which nothing can take back
        except Damaged:
            return _refusal(404, "the archive is no longer there; export the snapshot and ask for a new one")
        except BackstayError as error:
            return _refusal(503, str(error))
        return StreamingResponse(
            chain((first,), pieces), status_code=status, headers=headers, media_type="application/zstd"
        )

    def _pieces(self, key: str, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            length = min(PIECE, end - start)
            yield self.store.get(key, start, length)
            start += length


def _part(asked: str, size: int) -> tuple[int, int] | None:
    """Start and end of a single range; all of it when nothing that is understood was asked for; None beyond it."""
    match = _RANGE.match(asked)
    if match is None or match.group(1, 2) == ("", ""):
        return 0, size
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    return (start, end) if start < end else None


def _refusal(status: int, sentence: str) -> Response:
    document = {"type": "about:blank", "status": status, "title": sentence}
    return JSONResponse(document, status_code=status, media_type="application/problem+json")
