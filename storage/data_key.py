"""The data key of one tenant: what its snapshots are sealed with, and what their chunks are named by.

Apart from the key ring, which seals small values by the thousand and is itself replaced from time to time: a
data key lives as long as the snapshots that it seals, so it must be able to seal without counting, and never
serves two purposes. Everything is derived from 32 random bytes by HMAC-SHA256 with a label.

A sealed *part* is `12 bytes salt | 12 bytes nonce | AES-256-GCM ciphertext | 16 bytes tag`. Salt and nonce are
random, and every salt has an AES key of its own (the construction of XAES-256-GCM, with HMAC for deriving): two
parts meet in key and nonce only when 192 random bits meet. Among 2**64 parts of one tenant the chance is below
2**-65, so no count is kept and no bound can be reached; a part is at most 2**36 bytes by the standard, and far
less by ours.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import Damaged

KEY_BYTES = 32
_SALT_BYTES = _NONCE_BYTES = 12
_TAG_BYTES = 16
_HEAD_BYTES = _SALT_BYTES + _NONCE_BYTES
#: What sealing adds to a part.
ADDED_BYTES = _HEAD_BYTES + _TAG_BYTES


class DataKey:
    """Seals and opens parts. Safe to share between threads; both calls release the interpreter's lock."""

    def __init__(self, key_id: str, secret: bytes) -> None:
        """`key_id` names the key in the clear; `secret` is 32 random bytes."""
        if len(secret) != KEY_BYTES:
            raise ValueError("a data key has 32 bytes")
        self.key_id = key_id
        #: Names chunks and segments: without it nobody can tell whether a known file is stored.
        self.naming = _derive(secret, b"backstay chunk names v1")
        self._sealing = _derive(secret, b"backstay sealed parts v1")
        self._mark = _derive(secret, b"backstay fingerprint v1")

    def seal(self, plain: bytes | bytearray | memoryview, aad: bytes) -> bytearray:
        """The sealed part; it opens only with the same `aad`."""
        head = os.urandom(_HEAD_BYTES)
        sealed = bytearray(len(plain) + ADDED_BYTES)
        sealed[:_HEAD_BYTES] = head
        # Into place: a segment is not copied once more to stand behind its salt.
        self._cipher(head).encrypt_into(head[_SALT_BYTES:], plain, aad, memoryview(sealed)[_HEAD_BYTES:])
        return sealed

    def unseal(self, sealed: bytes | bytearray | memoryview, aad: bytes) -> bytes:
        """The plain bytes. Damaged for another key, another `aad` or any change."""
        view = memoryview(sealed)
        if len(view) < ADDED_BYTES:
            raise Damaged("a sealed part is cut short")
        head = bytes(view[:_HEAD_BYTES])
        try:
            return self._cipher(head).decrypt(head[_SALT_BYTES:], view[_HEAD_BYTES:], aad)
        except InvalidTag:
            raise Damaged("a sealed part was changed, or belongs to something else") from None

    def fingerprint(self, plain: bytes) -> bytes:
        """32 bytes that identify `plain` and let nobody without the key guess it."""
        return hmac.digest(self._mark, plain, hashlib.sha256)

    def _cipher(self, head: bytes) -> AESGCM:
        return AESGCM(_derive(self._sealing, head[:_SALT_BYTES]))


class Keys(Protocol):
    """Where the key of a sealed manifest comes from."""

    def load(self, tenant_id: str) -> DataKey:
        """The tenant's key, or KeyUnavailable."""


def _derive(secret: bytes, label: bytes) -> bytes:
    return hmac.digest(secret, label, hashlib.sha256)
