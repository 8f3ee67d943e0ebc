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
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import Damaged, KeyUnavailable, Refused

VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
_KEY_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}\Z")


@dataclass(frozen=True, slots=True)
class _Keys:
    """One state of a ring, replaced as a whole."""

    current: str
    ciphers: Mapping[str, AESGCM]
    mark: bytes  # a key of its own for fingerprints, so that nothing is computed twice under the sealing key
    signers: Mapping[str, bytes]  # and one for signatures, of each key


class KeyRing:
    """Named keys. The first one seals; any of them unseals. Safe to share between threads."""

    def __init__(self, keys: Mapping[str, bytes], again: Callable[[], str] | None = None) -> None:
        """`keys`: key id -> 32 bytes, the current key first. `again` reads the ring's text anew; it is asked when a
        value needs a key that is not here, as somebody may have rotated the ring since."""
        self._keys, self._again = _checked(keys), again

    @property
    def current(self) -> str:
        """The id of the key that seals."""
        return self._keys.current

    @property
    def names(self) -> tuple[str, ...]:
        """The ids of all keys, the current one first."""
        return tuple(self._keys.ciphers)

    @classmethod
    def parse(cls, text: str, again: Callable[[], str] | None = None) -> KeyRing:
        """Read `id:base64key,id2:base64key2`; the first is current. Raises Refused without echoing a key."""
        return cls(cls._read(text), again)

    @staticmethod
    def _read(text: str) -> dict[str, bytes]:
        keys: dict[str, bytes] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            key_id, colon, encoded = part.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except ValueError:  # also for what is no ASCII
                key = b""
            if not colon or not _KEY_ID.match(key_id) or len(key) != KEY_BYTES:
                raise Refused(
                    f"entry {len(keys) + 1} of the key ring is not readable", code="bad-key-ring", next_step=_HINT
                )
            if key_id in keys:
                raise Refused(f"key id {key_id!r} is in the key ring twice", code="bad-key-ring", next_step=_HINT)
            keys[key_id] = key
        return keys

    @staticmethod
    def generate_text(key_id: str = "k1") -> str:
        """A fresh ring of one random key, in the form that `parse` reads."""
        return f"{key_id}:{base64.b64encode(os.urandom(KEY_BYTES)).decode('ascii')}"

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """Encrypt `plain` with the current key; it opens only with the same `aad`."""
        keys = self._keys
        header, nonce = self.head(keys.current), os.urandom(NONCE_BYTES)
        return header + nonce + keys.ciphers[keys.current].encrypt(nonce, plain, header + aad)

    @staticmethod
    def head(key_id: str) -> bytes:
        """What every value begins with that was sealed with that key of a ring."""
        return bytes((VERSION, len(key_id))) + key_id.encode("ascii")

    def unseal(self, sealed: bytes, aad: bytes) -> bytes:
        """The plain bytes. KeyUnavailable without the key; Damaged(code="seal-broken") for any change."""
        if len(sealed) < 2 or sealed[0] != VERSION:
            raise Damaged("a sealed value has an unknown form", code="seal-broken")
        start = 2 + sealed[1]
        header = bytes(sealed[:start])
        key_id = header[2:].decode("ascii", "replace")
        if len(sealed) < start + NONCE_BYTES + TAG_BYTES:
            raise Damaged("a sealed value is cut short", code="seal-broken")
        cipher = self._keys.ciphers.get(key_id) or self._found_again(key_id)
        if cipher is None:
            raise KeyUnavailable(
                f"a value was sealed with key {key_id!r}, which is not in the key ring",
                next_step=f"put key {key_id!r} back into BACKSTAY_SECRET_KEYS, after the current one",
            )
        try:
            return cipher.decrypt(sealed[start : start + NONCE_BYTES], sealed[start + NONCE_BYTES :], header + aad)
        except InvalidTag:
            raise Damaged("a sealed value was changed, or belongs to something else", code="seal-broken") from None

    def fingerprint(self, plain: bytes) -> bytes:
        """32 bytes that identify `plain` and let nobody without the current key guess it."""
        return hmac.digest(self._keys.mark, plain, hashlib.sha256)

    def sign(self, data: bytes) -> tuple[str, bytes]:
        """The id of the current key and 32 bytes that only a holder of that key can have made of `data`."""
        keys = self._keys
        return keys.current, hmac.digest(keys.signers[keys.current], data, hashlib.sha256)

    def is_signature(self, key_id: str, data: bytes, signature: bytes) -> bool:
        """Whether a holder of that key signed `data`. KeyUnavailable without the key."""
        if key_id not in self._keys.signers and self._found_again(key_id) is None:
            raise KeyUnavailable(
                f"this was signed with key {key_id[:40]!r}, which is not in the key ring",
                next_step="put that key back into BACKSTAY_SECRET_KEYS, after the current one",
            )
        return hmac.compare_digest(hmac.digest(self._keys.signers[key_id], data, hashlib.sha256), signature)

    def _found_again(self, key_id: str) -> AESGCM | None:
        if self._again is None:
            return None
        fresh = _checked(self._read(self._again()))
        if key_id in fresh.ciphers:
            self._keys = fresh
        return fresh.ciphers.get(key_id)


def name_in(sealed: bytes) -> str | None:
    """The id of the key that a value was sealed with, as it says itself; None if it is no sealed value."""
    if len(sealed) < 2 or sealed[0] != VERSION or len(sealed) < 2 + sealed[1]:
        return None
    key_id = bytes(sealed[2 : 2 + sealed[1]]).decode("ascii", "replace")
    return key_id if _KEY_ID.match(key_id) else None


def new_entry(names: Collection[str]) -> str:
    """A fresh key in the form of a ring, under the first free id of k1, k2, …"""
    number = next(number for number in range(1, len(names) + 2) if f"k{number}" not in names)
    return KeyRing.generate_text(f"k{number}")


def _checked(keys: Mapping[str, bytes]) -> _Keys:
    if not keys:
        raise Refused("the key ring holds no key", code="bad-key-ring", next_step=_HINT)
    for key_id, key in keys.items():
        if not _KEY_ID.match(key_id) or len(key) != KEY_BYTES:
            raise Refused(f"key {key_id[:40]!r} is not usable: {_HINT}", code="bad-key-ring", next_step=_HINT)
    current = next(iter(keys))
    mark = hmac.digest(keys[current], b"backstay fingerprint v1", hashlib.sha256)
    signers = {key_id: hmac.digest(key, b"backstay signature v1", hashlib.sha256) for key_id, key in keys.items()}
    return _Keys(current, {key_id: AESGCM(key) for key_id, key in keys.items()}, mark, signers)


_HINT = "write BACKSTAY_SECRET_KEYS as id:base64 of 32 bytes, separated by commas, the current key first"
