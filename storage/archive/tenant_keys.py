"""The data keys of tenants: one object each, in the store beside what it opens, wrapped by the key ring.

Apart from sealing, because this is about an object's life: made once, by whichever node is first; wrapped anew
when the ring is rotated; destroyed for good. Nothing is remembered between calls and nothing is kept on disk, so
a key that was destroyed opens nothing from the next call on, whatever copies of snapshots there are.

    tenants/<tenant>/key                  magic | 8 bytes key id | the 32 bytes, sealed by the ring
    tenants/<tenant>/destroyed/<key id>   empty; the key of that id counts no more, even if it comes back

The mark of destruction is written before the key is deleted and looked at before and after a key is written:
whichever of `destroy` and `rewrap` is the later sees the other. A key that is neither there nor destroyed was lost,
and gets no successor while snapshots name it: in the successor's place it could not be brought back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from domain.contracts import ObjectStore
from domain.errors import Damaged, KeyUnavailable, KeyUnreadable, ObjectMissing, Refused
from domain.failpoint import failpoint
from domain.identity import check_name
from storage.archive import envelope
from storage.archive.layout import KEY_MAGIC
from storage.data_key import KEY_BYTES, DataKey
from storage.sealing import KeyRing, name_in

_ID_BYTES = 8
#: More than any wrapped key has: nothing bigger is fetched.
_LIMIT = 512
_OTHER = "the object in its place is no key"
_ID = re.compile(r"[0-9a-f]{16}\Z")
_KEY = re.compile(r"tenants/([^/]+)/key\Z")


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A key object as it lies in the store: its own id, and the id of the ring's key that wraps it."""

    tenant_id: str
    key_id: str
    ring_key: str


class HeldKey:
    """One key that was loaded a moment ago, for reading what is of use only if it was sealed with it."""

    def __init__(self, key: DataKey) -> None:
        self._key = key

    def load(self, tenant_id: str) -> DataKey:
        """The key that is held."""
        return self._key


class TenantKeys:
    """The keys of one store under one ring. Safe to share between threads."""

    def __init__(self, store: ObjectStore, keyring: KeyRing) -> None:
        self._store, self.keyring = store, keyring

    def obtain(self, tenant_id: str, check: Callable[[], None] = lambda: None) -> DataKey:
        """The tenant's key, made if there is none: of several nodes that make one, the first put decides. `check` is
        called while it is looked whether one was lost; then KeyUnavailable(code="key-lost")."""
        place = key_of(tenant_id)
        try:
            blob = self._fetch(tenant_id)
        except KeyUnavailable as error:
            if error.code != "key-destroyed":
                raise
            lost = next(self._named(tenant_id, check), None)
            if lost is not None and self._store.size(place) is None:  # else another node has made it since
                raise _lost(tenant_id, lost) from None
            key_id, secret = os.urandom(_ID_BYTES), os.urandom(KEY_BYTES)
            failpoint("tenant-key.before-create")
            self._store.create(place, [self._wrap(tenant_id, key_id, secret)])
            failpoint("tenant-key.after-create")
            blob = self._fetch(tenant_id)  # ours, or that of whoever was first
        return self._open(tenant_id, blob)

    def load(self, tenant_id: str) -> DataKey:
        """The tenant's key. KeyUnavailable: "key-destroyed" when there is none, "unknown-key" or "wrong-key" when the
        ring does not open it; KeyUnreadable when no ring would."""
        return self._open(tenant_id, self._fetch(tenant_id))

    def look(self, tenant_id: str) -> Wrapped:
        """What can be told without opening it. KeyUnavailable as `load`."""
        key_id, _, ring_key = _parse(tenant_id, self._fetch(tenant_id))
        return Wrapped(tenant_id, key_id.hex(), ring_key)

    def tenants(self) -> Iterator[str]:
        """Every tenant that has a key; lists the store."""
        for info in self._store.list("tenants/"):
            if match := _KEY.match(info.key):
                yield match[1]

    def rewrap(self, tenant_id: str) -> bool:
        """Wrap the tenant's key with the ring's current key; False if it is already. Packs stay as they are."""
        if self.look(tenant_id).ring_key == self.keyring.current:
            return False
        blob = self._fetch(tenant_id)
        key_id, secret = self._unwrap(tenant_id, blob)
        place = key_of(tenant_id)
        failpoint("tenant-key.before-rewrap")
        # A moment before, as a key that was made since must not be written over.
        if self._is_destroyed(tenant_id, key_id.hex()):
            raise _interrupted(tenant_id)
        self._store.put(place, [self._wrap(tenant_id, key_id, secret)])
        failpoint("tenant-key.after-rewrap")
        if self._is_destroyed(tenant_id, key_id.hex()):
            self._store.delete([place])  # it was destroyed while we held it
            raise _destroyed(tenant_id)
        return True

    def copy_to(self, target: ObjectStore, tenant_id: str) -> None:
        """Make another store have the tenant's key, unless it has it. Raises Refused when it has another one."""
        place, blob = key_of(tenant_id), self._fetch(tenant_id)
        failpoint("replica.before-key")
        # Asked first, so that a store which ignores create-only loses no key of somebody else.
        made = target.size(place) is None and target.create(place, [blob])
        failpoint("replica.after-key")
        if not made and TenantKeys(target, self.keyring).look(tenant_id).key_id != self.look(tenant_id).key_id:
            raise Refused(
                f"the replica holds another key of tenant {tenant_id} than the primary store",
                code="replica-of-another",
                next_step="if that key was to be destroyed, repeat `backstay keys destroy`; else give the replica a "
                "place of its own",
            )
        if made and (now := self._fetch(tenant_id)) != blob:
            target.put(place, [now])  # it was wrapped anew meanwhile

    def is_destroyed(self, tenant_id: str) -> bool:
        """Whether the tenant's key is gone."""
        try:
            self.load(tenant_id)
        except KeyUnavailable as error:
            if error.code != "key-destroyed":
                raise
            return True
        return False

    def destroy(self, tenant_id: str) -> str | None:
        """Make everything that was sealed with the tenant's key unreadable for good, and delete its exports, which
        are plain; the key's id, None without one. A key that was lost is destroyed too, so that it counts no more if
        it comes back. Repeating it is harmless. Copies that the store keeps of deleted objects are not reached."""
        place, key_id = key_of(tenant_id), None
        if self._store.size(place) is not None:
            key_id = self.look(tenant_id).key_id
            failpoint("tenant-key.before-destroy")
            self._store.create(_mark_of(tenant_id, key_id), [b""])
            failpoint("tenant-key.after-mark")
            if self._store.size(place) is not None and self.look(tenant_id).key_id == key_id:  # not one made since
                self._store.delete([place])
            failpoint("tenant-key.after-destroy")
        else:
            for key_id in self._named(tenant_id):
                self._store.create(_mark_of(tenant_id, key_id), [b""])
        self._store.delete([info.key for info in self._store.list(f"tenants/{tenant_id}/exports/")])
        return key_id

    def _is_destroyed(self, tenant_id: str, key_id: str) -> bool:
        return self._store.size(_mark_of(tenant_id, key_id)) is not None

    def _named(self, tenant_id: str, check: Callable[[], None] = lambda: None) -> Iterator[str]:
        """Ids of keys that snapshots of the tenant name and that nobody has destroyed."""
        known = set[str]()
        for info in self._store.list(f"tenants/{check_name(tenant_id, 'tenant')}/services/"):
            check()
            try:
                named = envelope.key_named(self._store.get(info.key, 0, min(info.size, envelope.HEAD_BYTES)))
            except ObjectMissing:
                continue  # deleted meanwhile
            if named is not None and _ID.match(named) and named not in known:
                known.add(named)
                if not self._is_destroyed(tenant_id, named):
                    yield named

    def _fetch(self, tenant_id: str) -> bytes:
        place = key_of(tenant_id)
        try:
            if (self._store.size(place) or 0) > _LIMIT:
                raise _unreadable(tenant_id, _OTHER)
            return self._store.get(place)
        except ObjectMissing:
            raise _destroyed(tenant_id) from None
        except Damaged as error:
            raise _unreadable(tenant_id, str(error)) from error

    def _open(self, tenant_id: str, blob: bytes) -> DataKey:
        key_id, secret = self._unwrap(tenant_id, blob)
        if self._is_destroyed(tenant_id, key_id.hex()):
            raise _interrupted(tenant_id)
        return DataKey(key_id.hex(), secret)

    def _wrap(self, tenant_id: str, key_id: bytes, secret: bytes) -> bytes:
        return KEY_MAGIC + key_id + self.keyring.seal(secret, _aad(tenant_id, key_id))

    def _unwrap(self, tenant_id: str, blob: bytes) -> tuple[bytes, bytes]:
        key_id, sealed, _ = _parse(tenant_id, blob)
        try:
            secret = self.keyring.unseal(sealed, _aad(tenant_id, key_id))
        except Damaged:
            raise _not_opened(tenant_id) from None
        if len(secret) != KEY_BYTES:
            raise _not_opened(tenant_id)
        return key_id, secret


def key_of(tenant_id: str) -> str:
    """Where the tenant's key lies."""
    return f"tenants/{check_name(tenant_id, 'tenant')}/key"


def _mark_of(tenant_id: str, key_id: str) -> str:
    return f"tenants/{check_name(tenant_id, 'tenant')}/destroyed/{key_id}"


def _parse(tenant_id: str, blob: bytes) -> tuple[bytes, bytes, str]:
    """Key id, sealed secret, and the id of the ring's key that sealed it."""
    start = len(KEY_MAGIC)
    sealed = blob[start + _ID_BYTES :]
    ring_key = name_in(sealed)
    if blob[:start] != KEY_MAGIC or ring_key is None:
        raise _unreadable(tenant_id, _OTHER)
    return blob[start : start + _ID_BYTES], sealed, ring_key


def _aad(tenant_id: str, key_id: bytes) -> bytes:
    return b"tenant key|" + tenant_id.encode("ascii") + b"|" + key_id


def _destroyed(tenant_id: str) -> KeyUnavailable:
    return KeyUnavailable(
        f"there is no key for the sealed snapshots of tenant {tenant_id}: it was destroyed, or the store lost it",
        code="key-destroyed",
        next_step=f"if it was lost, bring the object {key_of(tenant_id)} back from a copy of the store; what was "
        "sealed with a destroyed key cannot be read again",
    )


def _interrupted(tenant_id: str) -> KeyUnavailable:
    return KeyUnavailable(
        f"the key of tenant {tenant_id} was destroyed, and its object is there still or again",
        code="key-destroyed",
        next_step=f"`backstay keys destroy --tenant {tenant_id} --yes` removes it; the next snapshot makes a new key",
    )


def _lost(tenant_id: str, key_id: str) -> KeyUnavailable:
    return KeyUnavailable(
        f"the store has lost key {key_id} of tenant {tenant_id}, which snapshots are sealed with and nobody destroyed",
        code="key-lost",
        next_step=f"bring {key_of(tenant_id)} back from a copy of the store; to give those snapshots up and begin "
        f"with a new key: `backstay keys destroy --tenant {tenant_id} --yes`",
    )


def _unreadable(tenant_id: str, why: str) -> KeyUnreadable:
    # Not Damaged: every snapshot of the tenant would be called damaged for one sector.
    return KeyUnreadable(
        f"the key of tenant {tenant_id} cannot be read: {why}",
        code="key-unreadable",  # as the class has it; said for the page of errors
        next_step=f"bring {key_of(tenant_id)} back from a replica or another copy; restores read a replica meanwhile",
    )


def _not_opened(tenant_id: str) -> KeyUnavailable:
    # Not Damaged: a worker with a wrong ring must not call every snapshot of the tenant damaged.
    return KeyUnavailable(
        f"the key of tenant {tenant_id} does not open: the object was changed, or the ring's key is another one of "
        "the same name",
        code="wrong-key",
        next_step=f"compare BACKSTAY_SECRET_KEYS with the other nodes, or bring {key_of(tenant_id)} back from a copy",
    )
