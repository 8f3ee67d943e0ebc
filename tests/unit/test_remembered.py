"""A folder that is not there, or is another one, is no store in which everything is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from domain.contracts import ObjectStore
from domain.errors import ObjectMissing, Refused, StoreUnavailable
from storage.archive.layout import STORE_ID
from storage.objects.file import FileStore
from storage.objects.memory import MemoryStore
from storage.remembered import RememberedStore
from workers.bootstrap import System
from workers.config import load

ASKED: dict[str, Callable[[ObjectStore], object]] = {
    "get": lambda store: store.get("tenants/a"),
    "size": lambda store: store.size("tenants/a"),
    "list": lambda store: list(store.list("tenants/")),
    "delete": lambda store: store.delete(["tenants/a"]),
    "put": lambda store: store.put("tenants/b", [b"x"]),
    "put_stream": lambda store: store.put_stream("tenants/b", iter([b"x"])),
    "create": lambda store: store.create("tenants/b", [b"x"]),
}


class Node:
    """A node with a data directory, and a disk for its store."""

    def __init__(self, home: Path) -> None:
        self.folder, self.memory = home / "mnt" / "store", home / "data" / "stores" / "1"

    def store(self) -> RememberedStore:
        """As each process opens it."""
        return RememberedStore(FileStore(str(self.folder)), "the folder mnt", str(self.memory))

    def take_away(self) -> None:
        """The disk is not mounted."""
        self.folder.rename(self.folder.with_name("away"))


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize("left", ["nothing", "an empty folder", "another store"])
@pytest.mark.parametrize("asked", ASKED)
def test_a_store_that_is_not_mounted_is_away_and_not_empty(node: Node, asked: str, left: str) -> None:
    """FZ-30, I13: snapshots were called corrupt, a tenant got a second key, and deletes had nothing to do."""
    node.store().put("tenants/a", [b"x"])
    node.take_away()
    if left != "nothing":
        node.folder.mkdir()
    if left == "another store":
        RememberedStore(FileStore(str(node.folder)), "", str(node.memory) + "-of-another").put("tenants/c", [b"x"])
    before = sorted(node.folder.rglob("*"))

    with pytest.raises(StoreUnavailable, match="the folder mnt is not the store") as caught:
        ASKED[asked](node.store())

    assert str(node.memory) in caught.value.next_step
    assert sorted(node.folder.rglob("*")) == before, "nothing was written to what is not the store"


def test_a_store_that_is_mounted_again_goes_on(node: Node) -> None:
    store = node.store()
    store.put("tenants/a", [b"x"])
    node.take_away()
    with pytest.raises(StoreUnavailable):
        store.get("tenants/a")
    node.folder.with_name("away").rename(node.folder)

    assert store.get("tenants/a") == b"x"
    assert store.size("tenants/b") is None
    assert [info.key for info in store.list("tenants/")] == ["tenants/a"]


def test_in_a_new_store_things_are_missing(node: Node) -> None:
    store = node.store()

    with pytest.raises(ObjectMissing):
        store.get("tenants/a")
    assert store.size("tenants/a") is None
    assert list(store.list("")) == []
    store.delete(["tenants/a"])
    assert not node.folder.exists() and not node.memory.exists()


def test_a_store_that_others_have_named_is_known_from_the_first_look(node: Node, tmp_path: Path) -> None:
    other = Node(tmp_path / "other")
    other.folder = node.folder
    other.store().put("tenants/a", [b"x"])
    assert node.store().size("tenants/b") is None
    node.take_away()

    with pytest.raises(StoreUnavailable):
        node.store().size("tenants/a")


@pytest.mark.parametrize("text", ["", "\0" * 33])
def test_a_memory_that_a_power_cut_has_spoilt_is_written_again(node: Node, text: str) -> None:
    node.store().put("tenants/a", [b"x"])
    node.memory.write_text(text)

    assert node.store().size("tenants/b") is None
    assert node.memory.read_text().strip() == FileStore(str(node.folder)).get(STORE_ID).decode()


def test_a_name_that_is_damaged_keeps_nobody_from_working(node: Node) -> None:
    node.store().put("tenants/a", [b"x"])
    (node.folder / STORE_ID).write_bytes(b"?")

    node.store().put("tenants/b", [b"y"])

    assert node.store().size("tenants/c") is None


def test_a_name_that_may_not_be_read_is_weather_and_says_who_may_have_made_it(node: Node) -> None:
    """A doctor that ran as root leaves one; writes of that time ended FAILED."""
    node.store().put("tenants/a", [b"x"])
    name = node.folder / STORE_ID
    name.rename(node.folder / "elsewhere")
    name.symlink_to(node.folder / "elsewhere")  # refused to root too
    with pytest.raises(Refused) as denied:
        FileStore(str(node.folder)).get(STORE_ID)
    assert denied.value.code == "store-denied"

    with pytest.raises(StoreUnavailable, match="name of the folder mnt") as caught:
        node.store().put("tenants/b", [b"y"])

    assert STORE_ID in caught.value.next_step and "root" in caught.value.next_step


class Slow(MemoryStore):
    """Goes on saying for a while that what was just made is not there, as NFS does."""

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        raise ObjectMissing(key)


def test_a_name_that_does_not_show_yet_is_weather(node: Node) -> None:
    store = Slow()

    with pytest.raises(StoreUnavailable, match="does not show it yet"):
        RememberedStore(store, "the folder mnt", str(node.memory)).put("tenants/a", [b"x"])

    assert list(store.objects) == [STORE_ID] and not node.memory.exists()


def test_a_mount_point_that_was_named_before_the_mount_can_be_forgotten(node: Node) -> None:
    """The first write came before the mount: what is refused then is the right one."""
    share = Node(node.folder.parent.parent / "other")
    share.store().put("tenants/a", [b"x"])
    node.store().put("tenants/b", [b"y"])
    node.take_away()
    node.folder.symlink_to(share.folder)
    with pytest.raises(StoreUnavailable) as caught:
        node.store().size("tenants/c")
    assert "not mounted yet" in caught.value.next_step

    node.memory.unlink()

    assert node.store().size("tenants/a") == 1


def test_a_data_directory_that_takes_nothing_keeps_nobody_from_working(node: Node) -> None:
    node.memory.parent.parent.mkdir()
    node.memory.parent.write_bytes(b"a file where the folder should be")

    with pytest.raises(NotADirectoryError):
        node.memory.read_bytes()
    node.store().put("tenants/a", [b"x"])

    assert node.store().get("tenants/a") == b"x"


def test_a_node_knows_its_store_and_its_replicas_again(tmp_path: Path) -> None:
    settings = load({"BACKSTAY_DATA_DIR": str(tmp_path / "data"), "BACKSTAY_REPLICAS": f"b=file://{tmp_path}/b"})
    for store in (System(settings).store, System(settings).replica_stores["b"]):
        store.put("tenants/a", [b"x"])
    for folder in (tmp_path / "data" / "store", tmp_path / "b"):
        folder.rename(folder.with_name(f"{folder.name}-away"))

    for store in (System(settings).store, System(settings).replica_stores["b"]):
        with pytest.raises(StoreUnavailable, match="is it mounted"):
            store.size("tenants/a")


def test_an_empty_folder_under_another_name_of_a_replica_is_a_new_one(tmp_path: Path) -> None:
    """As for a replica that was taken out and is named again."""

    def replica(name: str) -> ObjectStore:
        wish = {"BACKSTAY_DATA_DIR": str(tmp_path / "data"), "BACKSTAY_REPLICAS": f"{name}=file://{tmp_path}/b"}
        return System(load(wish)).replica_stores[name]

    replica("b").put("tenants/a", [b"x"])
    (tmp_path / "b").rename(tmp_path / "old")
    with pytest.raises(StoreUnavailable, match="is it mounted"):
        replica("b").size("tenants/a")

    assert replica("c").size("tenants/a") is None
    replica("c").put("tenants/a", [b"y"])
