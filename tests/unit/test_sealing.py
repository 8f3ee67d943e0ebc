"""Sealing: what opens, what does not, and what it says."""

from __future__ import annotations

import base64

import pytest

from domain.errors import Damaged, Refused
from storage.sealing import KeyRing

OLD, NEW = KeyRing.generate_text("old"), KeyRing.generate_text("new")


def test_what_was_sealed_opens_for_the_same_purpose() -> None:
    ring = KeyRing.parse(NEW)

    sealed = ring.seal(b"password=hunter2", b"tenant|row")

    assert ring.unseal(sealed, b"tenant|row") == b"password=hunter2"
    assert b"hunter2" not in sealed


def test_the_same_plain_bytes_are_never_sealed_alike() -> None:
    ring = KeyRing.parse(NEW)

    assert ring.seal(b"x", b"") != ring.seal(b"x", b"")


def test_a_sealed_value_does_not_open_elsewhere() -> None:
    ring = KeyRing.parse(NEW)

    with pytest.raises(Damaged) as caught:
        ring.unseal(ring.seal(b"x", b"tenant-a"), b"tenant-b")

    assert caught.value.code == "seal-broken"


def test_every_changed_byte_is_noticed() -> None:
    ring = KeyRing.parse(NEW)
    sealed = ring.seal(b"some secret", b"here")

    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises((Damaged, Refused)):  # refused where the change names another key
            ring.unseal(bytes(changed), b"here")


def test_every_truncation_is_noticed() -> None:
    ring = KeyRing.parse(NEW)
    sealed = ring.seal(b"some secret", b"here")

    for length in range(len(sealed)):
        with pytest.raises(Damaged):
            ring.unseal(sealed[:length], b"here")


def test_the_first_key_seals_and_older_ones_still_open() -> None:
    sealed_before = KeyRing.parse(OLD).seal(b"x", b"a")
    ring = KeyRing.parse(f"{NEW}, {OLD}")

    assert ring.unseal(sealed_before, b"a") == b"x"
    assert KeyRing.parse(NEW).unseal(ring.seal(b"y", b"a"), b"a") == b"y"


def test_a_key_that_was_dropped_too_early_is_named() -> None:
    sealed = KeyRing.parse(OLD).seal(b"x", b"a")

    with pytest.raises(Refused, match="'old'") as caught:
        KeyRing.parse(NEW).unseal(sealed, b"a")

    assert caught.value.code == "unknown-key"
    assert "BACKSTAY_SECRET_KEYS" in caught.value.next_step


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ,",
        "nokey",
        "k1:",
        "k1:notbase64!",
        f"k1:{base64.b64encode(b'short').decode()}",
        f"K 1:{OLD[4:]}",
        f"{OLD},{OLD}",
    ],
    ids=["empty", "blank", "no-colon", "no-key", "not-base64", "short", "odd-id", "twice"],
)
def test_an_unreadable_ring_is_refused_without_echoing_keys(text: str) -> None:
    with pytest.raises(Refused) as caught:
        KeyRing.parse(text)

    assert caught.value.code == "bad-key-ring"
    assert OLD[4:] not in str(caught.value) and "notbase64" not in str(caught.value)


def test_the_sealed_form_is_the_one_that_is_documented() -> None:
    """Version, length of the key id, key id, 12 bytes of nonce, ciphertext, 16 bytes of tag."""
    sealed = KeyRing.parse(OLD).seal(b"12345", b"")

    assert sealed[:5] == b"\x01\x03old"
    assert len(sealed) == 2 + 3 + 12 + 5 + 16


def test_a_fingerprint_is_the_same_for_the_same_bytes_and_key_only() -> None:
    ring = KeyRing.parse(NEW)

    assert ring.fingerprint(b"x") == KeyRing.parse(NEW).fingerprint(b"x")
    assert ring.fingerprint(b"x") != ring.fingerprint(b"y")
    assert ring.fingerprint(b"x") != KeyRing.parse(OLD).fingerprint(b"x")


def test_a_signature_is_of_one_key_and_one_text_and_outlives_the_key_being_current() -> None:
    old = KeyRing.parse(OLD)
    key_id, signature = old.sign(b"text")
    both = KeyRing.parse(f"{NEW},{OLD}")

    assert both.is_signature(key_id, b"text", signature)
    assert not both.is_signature(key_id, b"texts", signature)
    assert not both.is_signature("new", b"text", signature)
    assert not both.is_signature(key_id, b"text", signature[:-1])
    assert signature != old.fingerprint(b"text")
    with pytest.raises(Refused) as caught:
        KeyRing.parse(NEW).is_signature(key_id, b"text", signature)
    assert caught.value.code == "unknown-key"
