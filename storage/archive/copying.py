"""Bringing one snapshot from the store it was made in to another: tenant's key, packs, and the manifest last.

Apart from the policy, which says when this happens: here is only what makes a copy a snapshot of its own. The other
store ends up with all that a restore needs beside the key ring. Every segment is checked on its way, so damage does
not spread; what is there already in its size is left alone, so repeating it after a kill goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable

from domain.contracts import ObjectStore
from domain.errors import Damaged, KeyUnavailable, StoreUnavailable
from domain.failpoint import failpoint
from storage.archive import layout, published
from storage.archive.pack import FOOTER_BYTES, index_bytes, read_index
from storage.archive.segment import Opener
from storage.archive.tenant_keys import TenantKeys
from storage.data_key import DataKey


def copy(
    source: ObjectStore,
    target: ObjectStore,
    keys: TenantKeys,
    manifest_key: str,
    check: Callable[[], None],
    *,
    anew: bool = False,
) -> int:
    """Make `target` hold the snapshot; bytes of the packs that were written. `keys` are those of `source`.

    `check` is called before each write and raises to end it. `anew` writes also what seems to be there. Raises
    Damaged when the source is, Refused when the target holds another key of the tenant, StoreUnavailable.
    """
    blob = published.fetch_manifest(source, manifest_key)
    found = published.read_manifest(blob, manifest_key, keys)
    if found.key is not None:
        keys.copy_to(target, found.header.tenant_id)
    root, written = layout.pack_root(found.header.tenant_id), 0
    for name, size in zip(found.tree.packs, found.tree.pack_bytes.tolist(), strict=True):
        if not anew and target.size(root + name) == size:
            continue
        data = source.get(root + name, 0, size)
        _check_pack(name, data, found.key)
        check()
        failpoint("replica.before-pack")
        target.put(root + name, [data])
        failpoint("replica.after-pack")
        written += size
    check()
    failpoint("replica.before-manifest")
    target.put(manifest_key, [blob])
    failpoint("replica.after-manifest")
    if published.fetch_manifest(source, manifest_key) != blob:
        raise StoreUnavailable("its packs were rewritten while it was copied; the copy is made again")
    if found.key is not None and keys.is_destroyed(found.header.tenant_id):
        TenantKeys(target, keys.keyring).destroy(found.header.tenant_id)
        raise KeyUnavailable(
            f"the key of tenant {found.header.tenant_id} was destroyed while its snapshot was copied",
            code="key-destroyed",
        )
    return written


def _check_pack(name: str, data: bytes, key: DataKey | None) -> None:
    size, opener = len(data), Opener(key)
    wanted = index_bytes(data[-FOOTER_BYTES:], size)
    index = read_index(data[-wanted:], size, name, key)
    for row in index.segments:
        start = int(row["offset"])
        try:
            opener.open(memoryview(data)[start : start + int(row["stored"])], row)
        except Damaged as error:
            raise Damaged(f"the pack {name} is damaged at byte {start}, so it is not copied: {error}") from error
