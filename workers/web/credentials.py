"""Secrets that prove who a request is from: made here, and kept elsewhere by their digests only.

Apart from SQL, which never sees one. Each has 256 random bits, so a plain digest is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import urlsafe_b64encode

#: What every token begins with, so that a scanner for leaked secrets can know one.
PREFIX = "bks_"
#: Anything longer is no secret of ours, and is not even digested.
MAX_LENGTH = 100


def new_token() -> str:
    """A token as its owner gets it, once."""
    return PREFIX + new_secret()


def new_secret() -> str:
    """43 characters that nobody can guess and that any header, cookie or form carries unchanged."""
    return urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


def digest(secret: str) -> str:
    """What is stored instead."""
    return hashlib.sha256(secret.encode("utf-8", "backslashreplace")).hexdigest()


def csrf_of(session_secret: str) -> str:
    """What the forms of a session carry; who knows it cannot tell the session's secret."""
    return hashlib.sha256(b"csrf|" + session_secret.encode("utf-8", "backslashreplace")).hexdigest()


def equal(given: str, right: str) -> bool:
    """Whether they are the same and not empty, in a time that does not tell where they differ."""
    return bool(right) and hmac.compare_digest(given.encode("utf-8", "backslashreplace"), right.encode())
