"""export-snapshot and its links: what GNU tar makes of it is what the snapshot holds, for whom it belongs to."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from domain.operation import Budget, Operation, State
from domain.snapshot import Snapshot, SnapshotState
from storage import multipart
from storage.archive import compression
from storage.archive import export as export_module
from storage.archive.tenant_keys import TenantKeys
from tests.acceptance.platform import Platform, code, digest, grow
from tests.command_line import Answer, answer_of
from workers.cli.exits import Exit
from workers.health import Health
from workers.serving import downloads_of
from workers.web.app import build_app
from workers.web.server import HttpServer


def odd_tree(root: Path) -> None:
    """Every kind of entry that a snapshot keeps."""
    grow(root)
    (root / "zero").write_bytes(b"")
    (root / "-leading").write_bytes(b"dash")
    (root / "two\nlines").write_bytes(b"newline")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).write_bytes(b"no text")
    (root / ("long" * 60)).write_bytes(b"long")
    (root / "dangling").symlink_to("nowhere/at/all")
    (root / "many").write_bytes(os.urandom(3_000_000))
    os.link(root / "many", root / "again")
    with open(root / "sparse", "wb") as file:
        file.truncate(40_000_000)
        file.seek(20_000_000)
        file.write(b"middle")
    (root / "closed").write_bytes(b"closed")
    (root / "closed").chmod(0o000)
    os.setxattr(root / "zero", "user.note", b"\x00\xffbinary")
    (root / "ancient").write_bytes(b"before 1970")
    os.utime(root / "ancient", ns=(-1_500_000_001, -86_400_500_000_007))
    os.utime(root / "zero", ns=(1_000_000_000_000_000_001, 1_234_567_890_123_456_789))


def export(platform: Platform, service: str, snapshot: Snapshot, **data: Any) -> Operation:
    return platform.run("export-snapshot", {"snapshot_id": snapshot.snapshot_id, **data}, service=service)


def archive_of(platform: Platform, snapshot: Snapshot) -> bytes:
    found = platform.system.database.catalogue.export_of(snapshot.snapshot_id)
    assert found is not None
    return platform.system.store.get(found.object_key)


def unpacked(archive: bytes, folder: Path) -> Path:
    """What GNU tar makes of it."""
    folder.mkdir()
    command = ["tar", "--zstd", "--extract", "--xattrs", "--xattrs-include=*", "--preserve-permissions", "--file=-"]
    subprocess.run([*command, f"--directory={folder}"], input=archive, check=True, timeout=60)
    return folder


def test_gnu_tar_brings_back_exactly_what_the_snapshot_holds(platform: Platform, tmp_path: Path) -> None:
    """RS-05, RS-18: names of any bytes, links, holes, attributes, and times to the nanosecond."""
    tree = platform.service("ex-odd")
    odd_tree(tree)
    snapshot = platform.snapshot("ex-odd")
    operation = export(platform, "ex-odd", snapshot)
    assert operation.state is State.SUCCEEDED, operation.outcome
    archive = archive_of(platform, snapshot)
    assert operation.outcome is not None
    assert operation.outcome["figures"]["sha256"] == hashlib.sha256(archive).hexdigest()
    found = unpacked(archive, tmp_path / "out")
    assert digest(found) == digest(tree)
    assert os.getxattr(found / "zero", "user.note") == b"\x00\xffbinary"
    assert (found / "again").stat().st_ino == (found / "many").stat().st_ino
    assert stat.S_IMODE((found / "closed").stat().st_mode) == 0


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()}


HOLES: dict[str, tuple[int, list[tuple[int, bytes]]]] = {
    "begin": (3_000_000, [(2_900_000, b"end")]),
    "end": (3_000_000, [(0, b"begin")]),
    "both": (3_000_000, [(1_000_000, b"middle")]),
    "all": (3_000_000, []),
    "several": (9_000_000, [(at, b"x" * 8192) for at in range(0, 9_000_000, 1_000_000)]),
}


@pytest.mark.parametrize("reader", ["tar", "tarfile"])
def test_holes_are_sent_as_holes_and_come_back_as_holes(platform: Platform, tmp_path: Path, reader: str) -> None:
    """RS-05: as GNU's sparse form 1.0, under odd names too, and for a file of two names."""
    tree = platform.service(f"ex-holes-{reader.lower()}")
    for name, (size, runs) in HOLES.items():
        with open(tree / name, "wb") as file:
            file.truncate(size)
            for at, data in runs:
                file.seek(at)
                file.write(data)
    os.link(tree / "several", tree / "zz-again")
    os.rename(tree / "both", os.fsencode(tree) + b"/\xff" + b"n" * 200)
    snapshot = platform.snapshot(f"ex-holes-{reader}")
    export(platform, f"ex-holes-{reader}", snapshot)
    archive = archive_of(platform, snapshot)
    if reader == "tar":
        found = unpacked(archive, tmp_path / "out")
    else:
        found = tmp_path / "out"
        plain = subprocess.run(["zstd", "-dc"], input=archive, capture_output=True, check=True).stdout
        assert len(plain) < 2_000_000
        with tarfile.open(fileobj=io.BytesIO(plain)) as opened:
            trusting = {"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}  # since Python 3.11.4
            opened.extractall(found, **trusting)  # type: ignore[arg-type]
    assert reader == "tarfile" or digest(found) == digest(tree)  # tarfile loses parts of a microsecond
    there, here = (
        {path.name: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()} for root in (found, tree)
    )
    assert there == here
    for name in ("begin", "end", "all", "several", "zz-again"):
        assert (found / name).stat().st_blocks * 512 < 600_000


def test_an_increment_exports_the_whole_state(platform: Platform, tmp_path: Path) -> None:
    tree = platform.service("ex-later")
    platform.snapshot("ex-later")
    grow(tree, seed=3, files=5)
    snapshot = platform.snapshot("ex-later")
    export(platform, "ex-later", snapshot)
    assert digest(unpacked(archive_of(platform, snapshot), tmp_path / "out")) == digest(tree)


def test_a_second_export_answers_with_the_archive_that_is_there(platform: Platform) -> None:
    platform.service("ex-twice")
    snapshot = platform.snapshot("ex-twice")
    first, second = (export(platform, "ex-twice", snapshot).outcome for _ in range(2))
    assert first and second
    assert [found["figures"].pop("made") for found in (first, second)] == [True, False]
    assert second["figures"].pop("expires_at") >= first["figures"].pop("expires_at")
    assert first["figures"] == second["figures"]


def test_exporting_again_keeps_the_archive_longer_and_never_shorter(platform: Platform) -> None:
    platform.service("ex-longer")
    snapshot = platform.snapshot("ex-longer")

    def kept(seconds: int) -> tuple[bool, int]:
        outcome = export(platform, "ex-longer", snapshot, keep_seconds=seconds).outcome
        found = platform.system.database.catalogue.export_of(snapshot.snapshot_id)
        assert outcome is not None and found is not None
        assert found.expires_at == outcome["figures"]["expires_at"]
        return outcome["figures"]["made"], found.expires_at

    (made, first), (again, longer), (third, last) = kept(7200), kept(90_000), kept(7200)
    assert (made, again, third) == (True, False, False)
    assert longer - first >= 80_000_000
    assert last == longer


def test_an_archive_goes_with_its_snapshot(platform: Platform) -> None:
    platform.service("ex-gone")
    snapshot = platform.snapshot("ex-gone")
    export(platform, "ex-gone", snapshot)
    found = platform.system.database.catalogue.export_of(snapshot.snapshot_id)
    assert found is not None
    platform.run("delete-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="ex-gone")
    assert platform.system.database.catalogue.export_of(snapshot.snapshot_id) is None
    assert platform.system.store.size(found.object_key) is None


def test_the_configuration_is_not_in_it_and_alone_it_cannot_be_exported(platform: Platform) -> None:
    secret = "export-canary-5512"
    configuration = {"envs": [{"name": "PASSWORD", "value": secret, "secret": True}]}
    platform.service("ex-conf", configuration=configuration)
    snapshot = platform.snapshot("ex-conf")
    export(platform, "ex-conf", snapshot)
    archive = subprocess.run(["zstd", "-dc"], input=archive_of(platform, snapshot), capture_output=True, check=True)
    assert secret.encode() not in archive.stdout
    alone = platform.snapshot("ex-conf", include=["configuration"])
    assert code(export(platform, "ex-conf", alone)) == (State.FAILED, "not-in-snapshot")


def test_a_damaged_snapshot_makes_no_archive_and_stops_saying_available(platform: Platform) -> None:
    """RS-16."""
    platform.service("ex-bad")
    snapshot = platform.snapshot("ex-bad")
    platform.system.store.put(snapshot.packs[0], [b"x" * 50])
    assert export(platform, "ex-bad", snapshot).state is State.FAILED
    row = platform.system.database.catalogue.get(snapshot.snapshot_id)
    assert row is not None and row.state is SnapshotState.CORRUPT
    assert platform.system.database.catalogue.export_of(snapshot.snapshot_id) is None


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something while an export has sent all but its last piece."""
    whole = compression.compress_stream

    def slow(pieces: Iterable[bytes]) -> Iterator[bytes]:
        *most, last = whole(pieces)
        yield from most
        act()
        yield last

    monkeypatch.setattr(export_module, "compress_stream", slow)


def test_a_snapshot_that_is_deleted_while_it_is_exported_leaves_no_archive(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.service("ex-race")
    snapshot = platform.snapshot("ex-race")
    data = {"snapshot_id": snapshot.snapshot_id}
    deleted: list[Operation] = []
    meanwhile(monkeypatch, lambda: deleted.append(platform.run("delete-snapshot", data, service="ex-race")))
    operation = export(platform, "ex-race", snapshot)
    assert deleted[0].state is State.SUCCEEDED
    assert code(operation) == (State.FAILED, "snapshot-not-found")
    assert platform.system.database.catalogue.export_of(snapshot.snapshot_id) is None


def test_a_key_that_is_destroyed_while_a_snapshot_is_exported_leaves_no_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = Platform(tmp_path / "home")
    try:
        platform.start("web-1")
        platform.service("ex-key")
        snapshot = platform.snapshot("ex-key")
        keys = TenantKeys(platform.system.store, platform.system.keyring)

        def destroy() -> None:
            keys.destroy("acme")

        meanwhile(monkeypatch, destroy)
        assert export(platform, "ex-key", snapshot).state is State.FAILED
        assert [info.key for info in platform.system.store.list("tenants/acme/exports/")] == []
    finally:
        platform.close()


def test_an_archive_that_has_vanished_is_made_again_and_not_promised(platform: Platform) -> None:
    platform.service("ex-lost")
    snapshot = platform.snapshot("ex-lost")
    export(platform, "ex-lost", snapshot)
    found = platform.system.database.catalogue.export_of(snapshot.snapshot_id)
    assert found is not None
    platform.system.store.delete([found.object_key])
    again = export(platform, "ex-lost", snapshot)
    assert again.outcome is not None and again.outcome["figures"]["made"] is True
    assert archive_of(platform, snapshot)


def test_an_attribute_that_no_archive_can_carry_is_named_and_the_rest_is_there(
    platform: Platform, tmp_path: Path
) -> None:
    tree = platform.service("ex-xattr")
    (tree / "odd").write_bytes(b"odd")
    for name in (b"user.a=b", b"user.\xff", b"user.fine"):
        os.setxattr(tree / "odd", name, b"v")
    snapshot = platform.snapshot("ex-xattr")
    operation = export(platform, "ex-xattr", snapshot)
    assert operation.outcome is not None
    assert (operation.state, operation.outcome["complete"]) == (State.SUCCEEDED, False)
    assert {item["name"] for item in operation.outcome["items"]} == {"odd"}
    found = unpacked(archive_of(platform, snapshot), tmp_path / "out")
    assert os.listxattr(found / "odd") == ["user.fine"]


# ---------------------------------------------------------------- links
@pytest.fixture(scope="module")
def web(platform: Platform) -> Iterator[str]:
    """`backstay web` beside the platform; its address."""
    server = HttpServer(build_app(Health(), lambda: b"", downloads_of(platform.system)), "127.0.0.1:0")
    server.start()
    yield server.address
    server.stop()


@pytest.fixture(scope="module")
def exported(platform: Platform) -> Snapshot:
    platform.service("ex-link")
    snapshot = platform.snapshot("ex-link")
    assert export(platform, "ex-link", snapshot).state is State.SUCCEEDED
    return snapshot


def link(platform: Platform, web: str, snapshot_id: str, *more: str) -> Answer:
    environment = {
        "BACKSTAY_DATA_DIR": str(platform.home), "BACKSTAY_NODE": "observer", "BACKSTAY_PUBLIC_URL": f"http://{web}",
    }  # fmt: skip
    return answer_of(["snapshots", "link", snapshot_id, *more, "--json"], environment)


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def test_a_link_gives_its_owner_the_archive_whole_or_in_parts(platform: Platform, web: str, exported: Snapshot) -> None:
    """RS-18."""
    told = link(platform, web, exported.snapshot_id, "--tenant", "acme").document()
    status, body, headers = fetch(told["url"])
    assert (status, hashlib.sha256(body).hexdigest(), len(body)) == (200, told["sha256"], told["bytes"])
    assert headers["content-disposition"] == f'attachment; filename="{exported.snapshot_id}.tar.zst"'
    status, part, headers = fetch(told["url"], Range="bytes=10-19")
    assert (status, part) == (206, body[10:20])
    assert headers["content-range"] == f"bytes 10-19/{len(body)}"
    assert fetch(told["url"], Range="bytes=-5")[1] == body[-5:]
    assert fetch(told["url"], Range=f"bytes={len(body)}-")[0] == 416
    status, nothing, headers = fetch(told["url"], "HEAD")
    assert (status, nothing, headers["content-length"]) == (200, b"", str(len(body)))


def test_nobody_else_gets_a_link_and_an_archive_that_is_not_there_has_none(
    platform: Platform, web: str, exported: Snapshot
) -> None:
    """RS-18."""
    assert link(platform, web, exported.snapshot_id, "--tenant", "rival").code == Exit.NOT_ALLOWED
    platform.service("ex-none")
    missing = link(platform, web, platform.snapshot("ex-none").snapshot_id, "--tenant", "acme")
    assert missing.code == Exit.NOT_FOUND
    assert "snapshots export" in missing.err


def test_a_link_to_an_archive_that_is_being_made_says_so(
    platform: Platform, web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RS-18: for that snapshot and for no other."""
    platform.service("ex-soon")
    snapshot, other = platform.snapshot("ex-soon"), platform.snapshot("ex-soon")
    answers: list[Answer] = []

    def ask() -> None:
        answers.extend(link(platform, web, one.snapshot_id, "--tenant", "acme") for one in (snapshot, other))

    meanwhile(monkeypatch, ask)
    operation = export(platform, "ex-soon", snapshot)
    soon, none = answers
    assert (soon.code, none.code) == (Exit.UNKNOWN, Exit.NOT_FOUND)
    assert (soon.document()["state"], soon.document()["operation_id"]) == ("preparing", operation.op_id)
    assert link(platform, web, snapshot.snapshot_id, "--tenant", "acme").document()["state"] == "ready"


def test_an_address_that_was_changed_guessed_or_is_over_gives_nothing(
    platform: Platform, web: str, exported: Snapshot
) -> None:
    """RS-18."""
    url = link(platform, web, exported.snapshot_id, "--tenant", "acme").document()["url"]
    head, _, query = url.partition("?")
    assert fetch(f"{head}?{query.replace('until=', 'until=9')}")[0] == 403
    assert fetch(f"{head}?{query[:-1]}{'0' if query[-1] != '0' else '1'}")[0] == 403
    assert fetch(f"{head}?until=x&signature=%C3%A9")[0] == 403
    assert fetch(head)[0] == 403
    for until in ("9" * 5000, "%C2%B2", "-1", "1e9"):
        assert fetch(f"{head}?until={until}&signature=00")[0] == 403
    assert fetch(f"http://{web}/exports/{exported.service_id}?{query}")[0] == 403
    assert fetch(f"http://{web}/exports/..%2f..%2fetc%2fpasswd?{query}")[0] in (403, 404)
    found = platform.system.database.catalogue.export_of(exported.snapshot_id)
    assert found is not None
    over = downloads_of(platform.system).address(f"http://{web}", found, -1)
    assert fetch(over)[0] == 410


def test_an_archive_that_has_vanished_is_not_there_and_one_that_no_id_can_name_neither(
    platform: Platform, web: str
) -> None:
    """It answered 200 and cut the connection, with a traceback in the log; PostgreSQL takes no NUL."""
    platform.service("ex-off")
    snapshot = platform.snapshot("ex-off")
    export(platform, "ex-off", snapshot)
    url = link(platform, web, snapshot.snapshot_id, "--tenant", "acme").document()["url"]
    found = platform.system.database.catalogue.export_of(snapshot.snapshot_id)
    assert found is not None
    platform.system.store.delete([found.object_key])
    status, body, _ = fetch(url)
    assert (status, b"ask for a new one" in body) == (404, True)
    assert fetch(f"http://{web}/exports/a%00b?until=1&signature=00")[0] == 403


@pytest.mark.parametrize("store_url", ["s3-moto"], indirect=True)
def test_an_upload_that_is_given_up_half_way_is_begun_again_and_the_snapshot_stays_sound(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a rule of the bucket, say. A store that knows the upload no more was taken for one that lacks a pack."""
    monkeypatch.setattr(multipart, "PART_BYTES", 5 << 20)
    tries: list[int] = []

    def send(where: dict[str, str], upload: str, number: int, body: bytes, s3: Any) -> Any:
        tries.append(number)
        if len(tries) == 2:
            s3.abort_multipart_upload(**where, UploadId=upload)
            said: Any = {"Error": {"Code": "NoSuchUpload"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
            raise ClientError(said, "UploadPart")  # moto breaks down instead
        return sound(where, upload, number, body, s3)

    sound = multipart._send
    monkeypatch.setattr(multipart, "_send", send)
    platform = Platform(tmp_path / "home", BACKSTAY_STORE_URL=store_url)
    platform.start("web-1", Budget(backoff_base=0.01))
    try:
        tree = platform.service("ex-again")
        (tree / "noise").write_bytes(os.urandom(6 << 20))
        snapshot = platform.snapshot("ex-again")
        operation = export(platform, "ex-again", snapshot)

        assert operation.state is State.SUCCEEDED, operation.outcome
        assert tries == [1, 2, 1, 2]
        found = platform.system.database.catalogue.get(snapshot.snapshot_id)
        assert found is not None and found.state is SnapshotState.AVAILABLE
        assert digest(unpacked(archive_of(platform, snapshot), tmp_path / "out")) == digest(tree)
    finally:
        platform.close()
