"""Making a snapshot: walk, read, compress, store, and publish the manifest last.

Apart from the parts it joins, so that their order can be read in one place. Packs are in the store and
were found there with their sizes before the manifest is put; the manifest is put only if there is none
under its key, and is read back before anything is reported. Whatever fails before that leaves objects
that no manifest names, beneath a prefix that is this snapshot's alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from domain.contracts import ObjectStore, SnapshotRequest, Watch
from domain.errors import Damaged, KeyUnavailable, ObjectMissing
from domain.failpoint import failpoint
from domain.restore import ManifestSummary
from storage.archive import digest, envelope, layout, live, published
from storage.archive.cache import Cache, manifest_name
from storage.archive.chunker import LARGEST
from storage.archive.condense import Condenser
from storage.archive.entries import Entries
from storage.archive.feeder import Feeder, Opener
from storage.archive.former import Former, sure
from storage.archive.freeze import empty_tree, freeze
from storage.archive.jobs import BLOCK, Job
from storage.archive.known import Known
from storage.archive.live import Feed
from storage.archive.manifest import Header, Manifest, Tree, encode, holders, root_digest
from storage.archive.pipeline import Channel, Crew
from storage.archive.shipper import Pack, Shipper
from storage.archive.tenant_keys import HeldKey, TenantKeys
from storage.data_key import DataKey, Keys

#: Packs on their way to the store at once; with one that fills and one that waits, at most 80 MiB.
UPLOADERS = 2


@dataclass(frozen=True, slots=True)
class Tools:
    """What making a snapshot needs from outside."""

    store: ObjectStore
    keys: TenantKeys
    encryption: bool
    cache_dir: str | None
    threads: int
    wall_ms: Callable[[], int]
    opener: Opener
    keep_free: int | None = None


def create(tools: Tools, request: SnapshotRequest, watch: Watch, feed: Feed | None = None) -> ManifestSummary:
    """See the port `Archive`. `feed` reads what is no directory of this node: the snapshot then has its data."""
    key = layout.manifest_key(request.tenant_id, request.service_id, request.snapshot_id)
    if tools.store.size(key) is not None:
        return _adopt(tools, key)
    cache = Cache(tools.cache_dir, request.tenant_id, request.service_id)
    # Before anything is read: a tenant whose key does not open gets no snapshot, and never a second key.
    data_key = tools.keys.obtain(request.tenant_id, watch.check) if tools.encryption else None
    began = tools.wall_ms()
    taken_at = began if request.taken_at is None else request.taken_at
    tree, packs, parent_id = empty_tree(), list[Pack](), None
    if feed is not None or request.directory is not None or request.sources:
        former = _former(tools, request, cache, data_key)
        parent_id = former.header.snapshot_id if former is not None else None
        tree, packs = _read(tools, request, former, data_key, watch, feed or live.feed(request, watch))
        tree = sure(tree, began)
    has_data = feed is not None or request.directory is not None
    manifest = _manifest(tools, request, data_key, taken_at, tree, packs, parent_id, has_data)
    root = layout.pack_root(request.tenant_id)
    _look_for_packs(tools.store, root, packs, watch)
    blob = encode(manifest)
    if data_key is not None:
        blob = envelope.wrap(blob, manifest.header, data_key)
    # What nobody could read again is not published.
    found = published.read_manifest(blob, key, tools.keys if data_key is None else HeldKey(data_key))
    watch.check()
    failpoint("archive.before-publish")
    first = tools.store.create(key, [blob])
    failpoint("archive.after-publish")
    if not first:
        return _adopt(tools, key)
    if tools.store.get(key) != blob:
        raise Damaged(f"manifest {key} reads back as other bytes than were stored")
    if data_key is not None:
        # Opened with the key as it is in the store now: one that was destroyed meanwhile is no success.
        envelope.unwrap(blob, tools.keys)
    cache.put(manifest_name(request.snapshot_id), blob)
    cache.keep_only({manifest_name(request.snapshot_id), *found.tree.packs})
    return published.summary(key, len(blob), found.header, found.tree, request.configuration)


def _adopt(tools: Tools, key: str) -> ManifestSummary:
    """An earlier attempt has published: its snapshot is the snapshot."""
    blob = published.fetch_manifest(tools.store, key)
    found = published.read_manifest(blob, key, tools.keys)
    configuration = published.open_configuration(found, tools.keys.keyring)
    return published.summary(key, len(blob), found.header, found.tree, configuration)


def _former(tools: Tools, request: SnapshotRequest, cache: Cache, data_key: DataKey | None) -> Former | None:
    """The parent, if it is whole and sealed as this one will be; else this becomes a snapshot that shares nothing.

    A sealed snapshot never names a plain pack: what it holds would stay readable when its key is destroyed."""
    parent = request.parent
    if parent is None or (parent.tenant_id, parent.service_id) != (request.tenant_id, request.service_id):
        return None
    name = manifest_name(parent.snapshot_id)
    root = layout.pack_root(request.tenant_id)
    try:
        blob = cache.get(name) or published.fetch_manifest(tools.store, parent.manifest_key)
        if envelope.is_sealed(blob) != (data_key is not None):
            return None
        keys: Keys = tools.keys if data_key is None else HeldKey(data_key)
        try:
            found = published.read_manifest(blob, parent.manifest_key, keys)
            if not {root + pack for pack in found.tree.packs} <= set(parent.packs):
                raise Damaged("the copy is from before its packs were rewritten")
        except Damaged:
            blob = published.fetch_manifest(tools.store, parent.manifest_key)
            found = published.read_manifest(blob, parent.manifest_key, keys)
        if (found.key is None) != (data_key is None):
            return None  # the copy was not of the same kind as the object
        if not found.tree.names or not _all_there(tools.store, root, found.tree):
            return None
        former = Former(found.header, found.tree, published.Indexes(tools.store, root, cache, data_key).load)
    except (Damaged, KeyUnavailable):
        return None
    cache.put(name, blob)
    return former


def _all_there(store: ObjectStore, root: str, tree: Tree) -> bool:
    """Whether every pack of the parent is in the store with its size: one listing per ancestor."""
    found: dict[str, int] = {}
    for snapshot_id in {name.partition("/")[0] for name in tree.packs}:
        found.update((info.key, info.size) for info in store.list(f"{root}{snapshot_id}/"))
    return all(found.get(root + name) == size for name, size in zip(tree.packs, tree.pack_bytes.tolist(), strict=True))


def _read(
    tools: Tools, request: SnapshotRequest, former: Former | None, data_key: DataKey | None, watch: Watch, feed: Feed
) -> tuple[Tree, list[Pack]]:
    """Read what `feed` reads, and store what is new of it."""
    entries, known = Entries(), Known(former.load_chunks if former is not None else None)
    with Crew() as crew:
        jobs: Channel[Job] = crew.channel(tools.threads)
        buffers: Channel[bytearray] = crew.channel(tools.threads + 2)
        full: Channel[Pack] = crew.channel(1)
        root_key = layout.pack_root(request.tenant_id)
        shipper = Shipper(tools.store, root_key, request.snapshot_id, data_key, full, watch)
        for _ in range(tools.threads + 2):
            buffers.put(bytearray(BLOCK + LARGEST))
        for number in range(tools.threads):
            condenser = Condenser(known, buffers, data_key, shipper.add)
            crew.start(f"compress-{number}", partial(condenser.run, jobs), consumes=jobs)
        for number in range(UPLOADERS):
            crew.start(f"upload-{number}", shipper.upload, consumes=full)
        name = digest.namer(None if data_key is None else data_key.naming)
        feeder = Feeder(entries, known, jobs, buffers, watch, name, tools.opener)
        try:
            unchanged = feed(entries, former, feeder)
        finally:
            feeder.close()
        jobs.finish()
        crew.wait("compress", watch.check)
        shipper.finish()
        crew.wait("upload", watch.check)
    return freeze(entries, unchanged, feeder, former, shipper), shipper.packs


def _manifest(
    tools: Tools,
    request: SnapshotRequest,
    data_key: DataKey | None,
    taken_at: int,
    tree: Tree,
    packs: list[Pack],
    parent_id: str | None,
    has_data: bool,
) -> Manifest:
    plain = sealed = None
    sealer = data_key or tools.keys.keyring
    if request.configuration is not None:
        plain = json.dumps(request.configuration, sort_keys=True, separators=(",", ":")).encode("ascii")
        bound_to = published.aad_of(request.tenant_id, request.service_id, request.snapshot_id)
        sealed = bytes(sealer.seal(plain, bound_to))
    parts = {"configuration": plain is not None, "data": has_data, "sources": request.sources}
    held = holders(tree.mode, tree.twins)
    header = Header(
        snapshot_id=request.snapshot_id,
        tenant_id=request.tenant_id,
        service_id=request.service_id,
        parent_id=parent_id,
        taken_at=taken_at,
        labels=tuple(map(str, request.labels)),
        include=tuple(name for name, held in parts.items() if held),
        root_digest=root_digest(tree, None if plain is None else sealer.fingerprint(plain)),
        files=int(((tree.mode & 0o170000) != 0o040000).sum()),
        logical_bytes=int(np.sum(tree.size[held], dtype=np.int64)),
        pack_bytes=sum(pack.size for pack in packs),
        sources={source.name: source.kind.value for source in request.sources},
    )
    return Manifest(header, tree, sealed)


def _look_for_packs(store: ObjectStore, root: str, packs: list[Pack], watch: Watch) -> None:
    """Ask the store for each pack before a manifest promises it."""

    def look(pack: Pack) -> None:
        watch.check()
        found = store.size(root + pack.name)
        if found is None:
            raise ObjectMissing(f"pack {pack.name} is not in the store although it was just stored")
        if found != pack.size:
            raise Damaged(f"pack {pack.name} has {found} bytes in the store, {pack.size} were stored")

    with ThreadPoolExecutor(8, thread_name_prefix="archive-look") as pool:
        for _ in pool.map(look, packs):
            pass
