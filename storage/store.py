"""From a URL to an object store.

Apart from the backends, because adding one must not mean editing this: a backend is one file in
`storage/objects/`, and its name is the scheme. Refuses unknown schemes with the list of known ones.
"""

from __future__ import annotations

from domain.contracts import ObjectStore
from domain.errors import Refused
from domain.registry import members
from storage import objects
from storage.backend import Backend
from storage.object_keys import KeyRule, check_key


def open_store(url: str, rule: KeyRule = check_key) -> ObjectStore:
    """The store behind `scheme://…`, whose keys `rule` has to let through; contacts nothing.

    Raises Refused(code="bad-store-url")."""
    scheme, separator, _ = url.partition("://")
    backends = members(objects, "backend", Backend)
    if not separator or scheme not in backends:
        got = f"got {scheme[:20]!r}" if separator else "it has no ://"  # the rest of an address may be a password
        raise Refused(
            f"the store URL must begin with one of {', '.join(f'{name}://' for name in backends)}; {got}",
            code="bad-store-url",
            next_step="set BACKSTAY_STORE_URL, for example file:///var/lib/backstay/store or s3://bucket/prefix",
        )
    return backends[scheme].open(url, rule)
