"""The object store's promises behind a network that cuts, refuses, dawdles and says "later"."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from domain import pulse
from domain.contracts import ObjectStore, SnapshotRequest
from domain.errors import StoreUnavailable
from domain.restore import RestoreMode
from domain.retry import within_call
from storage.archive import open_archive
from storage.objects import s3
from storage.sealing import KeyRing
from storage.store import open_store
from tests.chaos.world import Unwatched
from tests.conftest import real
from tests.fakes.proxy import BUSY, REFUSE, BadProxy, Fault, Slow
from tests.fakes.trees import digest, grow
from tests.servers.buckets import credentials, fresh_bucket, store_url_of
from tests.waiting import eventually

Behind = Callable[..., tuple[ObjectStore, BadProxy]]
#: A sound connection now and then: without it nothing could ever succeed.
WEATHER: dict[str, list[Fault]] = {
    "refused": [REFUSE, None],
    "overloaded": [BUSY, BUSY, None],
    "cut before the reply": [0, None],
    "cut in the head of the reply": [60, None],
    "cut in the body of the reply": [2_000, None, 20_000, None],
    "slow": [Slow(20_000, 0.02)],
    "all of it": [0, REFUSE, None, BUSY, 300, Slow(50_000, 0.01), 5_000, None],
}


@pytest.fixture(params=["moto_s3", real("rgw")])
def behind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behind]:
    """Opens an empty bucket of a server through a proxy with the given faults."""
    server = request.getfixturevalue(request.param)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in credentials(server).items():
        monkeypatch.setenv(name, value)
    # Waits are not what is tried here; the number of tries within the time is the real one or more.
    monkeypatch.setattr(s3, "within_call", partial(within_call, first_wait=0.001, longest_wait=0.01))
    place = urlsplit(server.endpoint)
    proxies: list[BadProxy] = []

    def connect(rotation: list[Fault]) -> tuple[ObjectStore, BadProxy]:
        assert place.hostname and place.port
        proxy = BadProxy(place.hostname, place.port, rotation)
        proxies.append(proxy)
        direct = store_url_of(server, fresh_bucket(server))
        assert server.endpoint in direct
        return open_store(direct.replace(server.endpoint, proxy.endpoint)), proxy

    yield connect
    for proxy in proxies:
        proxy.close()


@pytest.mark.parametrize("weather", WEATHER)
def test_every_promise_of_the_store_holds_in_any_weather(behind: Behind, weather: str) -> None:
    """RS-13, FZ-09, CN-13: retried inside the call, never short, never twice."""
    store, proxy = behind(WEATHER[weather])
    body = secrets.token_bytes(120_000)
    for number in range(2):
        store.put(f"packs/{number}", [body, bytes([number])])
        assert store.get(f"packs/{number}") == body + bytes([number])
        assert store.get(f"packs/{number}", 1000, 50_000) == body[1000:51_000]
        assert store.size(f"packs/{number}") == len(body) + 1
        # A first try whose reply was lost has created it: that is our success, not somebody else's object.
        assert store.create(f"manifests/{number}", [b"first"]) is True
        assert store.create(f"manifests/{number}", [b"second"]) is False
        assert store.get(f"manifests/{number}") == b"first"
    assert {info.key for info in store.list("packs/")} == {f"packs/{number}" for number in range(2)}
    store.delete(f"packs/{number}" for number in range(2))
    assert list(store.list("packs/")) == []
    assert store.size("packs/0") is None
    assert proxy.fired > 0, "nothing was proved about this weather"


def test_a_stream_of_parts_arrives_whole_in_bad_weather(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    """FZ-13."""
    monkeypatch.setattr("storage.multipart.PART_BYTES", 5 << 20)
    store, proxy = behind(WEATHER["all of it"])
    pieces = [secrets.token_bytes(3 << 20) for _ in range(4)]
    store.put_stream("exports/one", iter(pieces))
    assert store.get("exports/one") == b"".join(pieces)
    # A beginning whose reply was lost has left an upload that nobody knows; the sweeper does, by its age.
    assert store.sweep(0) <= 1
    eventually(lambda: store.sweep(0) == 0, what="it is gone: an abort whose reply was lost is tried again")
    assert proxy.fired > 0


def test_a_store_that_never_answers_is_weather_and_not_an_absence(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FZ-30: "not there" is only believed when the store says so."""
    monkeypatch.setattr(s3, "PATIENCE", 0.5)
    store, _ = behind([REFUSE])
    for ask in (
        lambda: store.get("a"),
        lambda: store.size("a"),
        lambda: list(store.list("")),
        lambda: store.put("a", [b"x"]),
        lambda: store.create("a", [b"x"]),
        lambda: store.delete(["a"]),
        lambda: store.put_stream("a", iter([b"x"])),
    ):
        with pytest.raises(StoreUnavailable):
            ask()


def test_whoever_waits_for_a_store_that_is_away_keeps_his_lease(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an outage would count as workers that died, and the operation would be given up as poison."""
    monkeypatch.setattr(s3, "PATIENCE", 0.5)
    store, proxy = behind([REFUSE])
    beats: list[str] = []
    with pulse.during(lambda: beats.append("beat")), pytest.raises(StoreUnavailable):
        store.get("a")
    assert len(beats) >= proxy.fired > 0, "there is a try before which nobody kept it"


def test_a_snapshot_is_taken_and_restored_through_bad_weather(behind: Behind, tmp_path: Path) -> None:
    store, proxy = behind(WEATHER["all of it"])
    live = tmp_path / "live"
    grow(live, files=60, most_bytes=60_000)
    archive = open_archive(store, KeyRing.parse(KeyRing.generate_text()))
    archive.create(SnapshotRequest("one", "acme", "web", str(live), {"a": 1}), Unwatched())
    key = archive.manifest_key("acme", "web", "one")
    staged = archive.stage(key, str(tmp_path / "none"), str(tmp_path / "staged"), RestoreMode.REPLACE, Unwatched())
    assert digest(Path(staged.path)) == digest(live)
    assert proxy.fired > 0
