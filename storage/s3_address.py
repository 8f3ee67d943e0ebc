"""Where an S3 store is: `s3://bucket/prefix?endpoint=…&region=…&addressing=…&checksums=…`.

Apart from the backend, because reading a URL needs no S3. Options: `endpoint` (a URL; AWS itself
without), `region`, `addressing` path | virtual | auto, `checksums` when_required (the default, and what
Ceph and others need behind TLS) | when_supported. Credentials are refused here: they come from AWS's own
chain. The bucket must exist.
"""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass

from domain.errors import Refused
from storage.object_keys import check_key


@dataclass(frozen=True, slots=True)
class S3Address:
    """Where the store is and how it wants to be talked to."""

    bucket: str
    prefix: str  # empty, or ends with "/"
    endpoint: str | None
    region: str | None
    addressing: str
    checksums: str


def parse(url: str) -> S3Address:
    """Read the URL. Raises Refused(code="bad-store-url"), which never echoes a credential."""
    try:
        parsed = urllib.parse.urlsplit(url)
    except ValueError:
        raise _refused("brackets that are no address") from None
    options = dict(urllib.parse.parse_qsl(parsed.query, keep_blank_values=True))
    endpoint, region = options.pop("endpoint", None), options.pop("region", None)
    addressing, checksums = options.pop("addressing", "auto"), options.pop("checksums", "when_required")
    prefix = parsed.path.strip("/")
    wrong = (
        "no bucket"
        if not parsed.netloc or "@" in parsed.netloc or ":" in parsed.netloc
        else f"unknown option {next(iter(options))!r}"
        if options
        else f"addressing={addressing[:20]}"
        if addressing not in ("path", "virtual", "auto")
        else f"checksums={checksums[:20]}"
        if checksums not in ("when_required", "when_supported")
        else "an endpoint that is no http(s) URL"
        if endpoint and not endpoint.startswith(("http://", "https://"))
        else None
    )
    if wrong:
        raise _refused(wrong)
    if prefix:
        prefix = check_key(prefix) + "/"
    return S3Address(parsed.netloc, prefix, endpoint, region, addressing, checksums)


def _refused(wrong: str) -> Refused:
    return Refused(
        f"the S3 store URL has {wrong}",
        code="bad-store-url",
        next_step="write s3://bucket/prefix?endpoint=https://host&region=name&addressing=path; no credentials",
    )
