"""Which names an object may have, in every store.

Apart from the backends, because the rule must be the same for all: a key that one store takes and
another misreads would make snapshots that cannot be moved. A key that passes stays inside the store's
root when it is used as a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from domain.errors import PathEscape

#: Returns a key that may name an object; raises PathEscape for any other.
KeyRule = Callable[[str], str]

#: S3 allows 1024 bytes; a prefix of the store's own must fit beside the key.
LONGEST_KEY = 768
# Components begin with a letter or digit: never ".", "..", hidden, empty or an option.
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]*(?:/[A-Za-z0-9][A-Za-z0-9._=-]*)*\Z")
_PREFIX = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._=-]*/)*(?:[A-Za-z0-9][A-Za-z0-9._=-]*)?\Z")


def check_key(key: str) -> str:
    """Return `key` if it may name an object; else raise PathEscape."""
    if len(key) > LONGEST_KEY or not _KEY.match(key):
        raise PathEscape(f"{key[:120]!r} cannot be the key of an object", code="bad-key")
    return key


def check_foreign_key(key: str) -> str:
    """The same for an object that somebody else has named, which is only read: any text that, used as a path, stays
    inside the root."""
    parts = key.split("/")
    if len(key) > 1024 or not set(parts).isdisjoint({"", ".", ".."}) or not key.isprintable():
        raise PathEscape(f"{key[:120]!r} cannot be the key of an object", code="bad-key")
    return key


def check_prefix(prefix: str) -> str:
    """Return `prefix` if keys may begin with it (the empty one included); else raise PathEscape."""
    if len(prefix) > LONGEST_KEY or not _PREFIX.match(prefix):
        raise PathEscape(f"{prefix[:120]!r} cannot be the beginning of an object's key", code="bad-key")
    return prefix
