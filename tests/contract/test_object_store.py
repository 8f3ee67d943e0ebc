"""One suite for every object store: what packs and manifests rely on."""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from domain.contracts import ObjectStore
from domain.errors import Damaged, ObjectMissing, PathEscape
from storage.probe import examine
from storage.store import open_store
from tests.conftest import real
from tests.servers.buckets import credentials, fresh_bucket, store_url_of

MIB = 1 << 20


@pytest.fixture(params=["memory", "file", "moto_s3", real("rgw")])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield open_store(f"memory://{uuid.uuid4().hex}")
        return
    if request.param == "file":
        yield open_store(f"file://{tmp_path}/made/when/needed")
        return
    server = request.getfixturevalue(request.param)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in credentials(server).items():
        monkeypatch.setenv(name, value)
    yield open_store(store_url_of(server, fresh_bucket(server)))


def test_the_store_can_do_everything_that_is_asked_of_one(store: ObjectStore) -> None:
    found = examine(store)
    assert [one.name for one in found if one.needed and not one.works] == []
    assert {one.name for one in found} >= {"read-back", "create-only", "listing"}
    assert list(store.list("probes/")) == []


def test_what_was_put_is_read_back_whole(store: ObjectStore) -> None:
    store.put("a/b", [b"one", bytearray(b"two"), memoryview(b"three")])

    assert store.get("a/b") == b"onetwothree"
    assert store.size("a/b") == 11


def test_an_object_without_bytes_is_an_object(store: ObjectStore) -> None:
    store.put("empty", [])

    assert store.get("empty") == b""
    assert store.size("empty") == 0


def test_putting_again_replaces(store: ObjectStore) -> None:
    store.put("a", [b"old and longer"])
    store.put("a", [b"new"])

    assert store.get("a") == b"new"


def test_creating_takes_the_first_and_refuses_the_second(store: ObjectStore) -> None:
    assert store.create("a/manifest", [b"first"]) is True
    assert store.create("a/manifest", [b"second"]) is False
    assert store.get("a/manifest") == b"first"


def test_creating_again_with_the_same_bytes_is_refused_too(store: ObjectStore) -> None:
    """Two attempts of one operation may write equal manifests; only one of them has published."""
    assert store.create("m", [b"same"]) is True
    assert store.create("m", [b"same"]) is False


def test_of_many_creators_at_once_exactly_one_wins(store: ObjectStore) -> None:
    """The manifest's key is the commit point: two winners would be two snapshots under one id."""
    threads, rounds = 8, 6
    for number in range(rounds):
        start = threading.Barrier(threads)

        def race(who: int, key: str = f"race/{number}", start: threading.Barrier = start) -> bool:
            start.wait()
            return store.create(key, [b"%d" % who])

        with ThreadPoolExecutor(threads) as pool:
            won = list(pool.map(race, range(threads)))
        assert won.count(True) == 1
        assert store.get(f"race/{number}") == b"%d" % won.index(True)


def test_a_range_is_read_exactly(store: ObjectStore) -> None:
    store.put("a", [bytes(range(256)) * 40])

    assert store.get("a", 255, 3) == b"\xff\x00\x01"
    assert store.get("a", 10_238) == b"\xfe\xff"
    assert store.get("a", 5, 0) == b""


@pytest.mark.parametrize(("offset", "length"), [(8, 10), (20, 1), (10, 1)])
def test_a_range_beyond_the_end_is_damage_and_never_a_short_answer(
    store: ObjectStore, offset: int, length: int
) -> None:
    """FZ-09"""
    store.put("a", [b"0123456789"])

    with pytest.raises(Damaged):
        store.get("a", offset, length)


def test_an_absent_object_is_missing_and_has_no_size(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        store.get("not/here")
    with pytest.raises(ObjectMissing):
        store.get("not/here", 5, 5)
    assert store.size("not/here") is None


def test_a_listing_has_all_keys_beneath_the_prefix_with_sizes(store: ObjectStore) -> None:
    for key in ("t/a/1", "t/a/2", "t/ab/3", "t/b", "u"):
        store.put(key, [key.encode()])

    assert {(i.key, i.size) for i in store.list("t/a/")} == {("t/a/1", 5), ("t/a/2", 5)}
    assert {i.key for i in store.list("t/a")} == {"t/a/1", "t/a/2", "t/ab/3"}
    assert {i.key for i in store.list("")} == {"t/a/1", "t/a/2", "t/ab/3", "t/b", "u"}
    assert list(store.list("nothing/")) == []


def test_more_keys_than_one_page_are_listed_and_deleted(store: ObjectStore) -> None:
    keys = {f"many/{number:04}" for number in range(1050)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, [b"x"]), keys))
    store.put("manyfold", [b"stays"])

    assert {i.key for i in store.list("many/")} == keys
    store.delete(keys)

    assert [i.key for i in store.list("many")] == ["manyfold"]


def test_deleting_is_idempotent(store: ObjectStore) -> None:
    store.put("a", [b"1"])
    store.put("b", [b"2"])

    store.delete(["a", "never-there"])
    store.delete(["a"])
    store.delete([])

    assert store.size("a") is None
    assert store.get("b") == b"2"


def test_an_object_of_many_parts_comes_back_whole(store: ObjectStore) -> None:
    """Bigger than one PUT, so S3 stores it as a multipart upload."""
    parts = [secrets.token_bytes(MIB) * 5 for _ in range(7)]
    store.put("big", parts)

    assert store.size("big") == 35 * MIB
    assert store.get("big", 34 * MIB + 5, 10) == parts[6][4 * MIB + 5 :][:10]
    assert store.get("big") == b"".join(parts)
    assert store.sweep(0) == 0


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", ".hidden", "a\0b", "a\n", "ä", "x" * 800]
)
def test_a_key_that_could_lead_elsewhere_is_refused(store: ObjectStore, key: str) -> None:
    with pytest.raises(PathEscape):
        store.put(key, [b"x"])
    with pytest.raises(PathEscape):
        store.get(key)
    with pytest.raises(PathEscape):
        store.delete([key])


def test_sweeping_an_orderly_store_removes_nothing(store: ObjectStore) -> None:
    store.put("a/b", [b"1"])

    assert store.sweep(0) == 0
    assert store.get("a/b") == b"1"


def test_a_stream_becomes_one_object_of_all_its_pieces(store: ObjectStore) -> None:
    store.put("s", [b"former"])
    store.put_stream("s", iter([b"one", b"", b"two"]))

    assert store.get("s") == b"onetwo"


def test_an_empty_stream_is_an_object_without_bytes(store: ObjectStore) -> None:
    store.put_stream("s", iter([]))

    assert store.size("s") == 0


def test_a_stream_of_many_parts_is_whole(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.multipart.PART_BYTES", 5 * MIB)
    pieces = [secrets.token_bytes(3 * MIB) for _ in range(4)]
    store.put_stream("s", iter(pieces))

    assert store.get("s") == b"".join(pieces)


def test_a_stream_that_fails_leaves_what_was_there_and_nothing_of_itself(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FZ-13, CN-13: no partial object, and no upload that is paid for."""
    monkeypatch.setattr("storage.multipart.PART_BYTES", 5 * MIB)
    store.put("s", [b"former"])

    def pieces() -> Iterator[bytes]:
        for _ in range(4):
            yield bytes(3 * MIB)
        raise Damaged("the source is broken")

    with pytest.raises(Damaged):
        store.put_stream("s", pieces())

    assert store.get("s") == b"former"
    assert [info.key for info in store.list("")] == ["s"]
    assert store.sweep(0) == 0
