"""Sealing secrets at rest: AES-256-GCM under a ring of named keys.

Apart from SQL and from the archive, because both seal with it and neither should know how. A sealed
value opens only with the associated data it was sealed for, so it cannot be moved to another row, tenant
or snapshot; with a key that is not in the ring, or after any change, it does not open at all.

Sealed form, version 1:

    offset  size  field
    0       1     version, 1
    1       1     n, length of the key id (1..32)
    2       n     key id, ASCII
    2+n     12    nonce, random
    14+n    ...   ciphertext, followed by the 16-byte tag

The first 2+n bytes are authenticated together with the caller's associated data. Nonces are random, so
one key must not seal more than 2**32 values (NIST SP 800-38D, 8.3): rotate long before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import Damaged, Refused

VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
_KEY_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")


class KeyRing:
    """Named keys. The first one seals; any of them unseals. Safe to share between threads."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """`keys`: key id -> 32 bytes, the current key first."""
        if not keys:
            raise Refused("the key ring holds no key", code="bad-key-ring", next_step=_HINT)
        for key_id, key in keys.items():
            if not _KEY_ID.match(key_id) or len(key) != KEY_BYTES:
                raise Refused(f"key {key_id[:40]!r} is not usable: {_HINT}", code="bad-key-ring", next_step=_HINT)
        self.current = next(iter(keys))
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        # A key of its own for fingerprints, so that nothing is computed twice under the sealing key.
        self._mark = hmac.digest(keys[self.current], b"backstay fingerprint v1", hashlib.sha256)

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Read `id:base64key,id2:base64key2`; the first is current. Raises Refused without echoing a key."""
        keys: dict[str, bytes] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            key_id, colon, encoded = part.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                key = b""
            if not colon or not _KEY_ID.match(key_id) or len(key) != KEY_BYTES:
                raise Refused(
                    f"entry {len(keys) + 1} of the key ring is not readable", code="bad-key-ring", next_step=_HINT
                )
            if key_id in keys:
                raise Refused(f"key id {key_id!r} is in the key ring twice", code="bad-key-ring", next_step=_HINT)
            keys[key_id] = key
        return cls(keys)

    @staticmethod
    def generate_text(key_id: str = "k1") -> str:
        """A fresh ring of one random key, in the form that `parse` reads."""
        return f"{key_id}:{base64.b64encode(os.urandom(KEY_BYTES)).decode('ascii')}"

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """Encrypt `plain` with the current key; it opens only with the same `aad`."""
        header = bytes((VERSION, len(self.current))) + self.current.encode("ascii")
        nonce = os.urandom(NONCE_BYTES)
        return header + nonce + self._ciphers[self.current].encrypt(nonce, plain, header + aad)

    def unseal(self, sealed: bytes, aad: bytes) -> bytes:
        """The plain bytes. Refused(code="unknown-key") without the key; Damaged(code="seal-broken") for any change."""
        if len(sealed) < 2 or sealed[0] != VERSION:
            raise Damaged("a sealed value has an unknown form", code="seal-broken")
        start = 2 + sealed[1]
        header = bytes(sealed[:start])
        key_id = header[2:].decode("ascii", "replace")
        if len(sealed) < start + NONCE_BYTES + TAG_BYTES:
            raise Damaged("a sealed value is cut short", code="seal-broken")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise Refused(
                f"a value was sealed with key {key_id!r}, which is not in the key ring",
                code="unknown-key",
                next_step=f"put key {key_id!r} back into BACKSTAY_SECRET_KEYS, after the current one",
            )
        try:
            return cipher.decrypt(sealed[start : start + NONCE_BYTES], sealed[start + NONCE_BYTES :], header + aad)
        except InvalidTag:
            raise Damaged("a sealed value was changed, or belongs to something else", code="seal-broken") from None

    def fingerprint(self, plain: bytes) -> bytes:
        """32 bytes that identify `plain` and let nobody without the current key guess it."""
        return hmac.digest(self._mark, plain, hashlib.sha256)


_HINT = "write BACKSTAY_SECRET_KEYS as id:base64 of 32 bytes, separated by commas, the current key first"
