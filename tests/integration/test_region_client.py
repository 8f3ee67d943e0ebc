"""The region's client against its double over real HTTP: every way for a reply not to arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from domain import region_calls
from domain.errors import Refused
from domain.region import Call, Place, Trouble
from tests.fakes.clock import FakeClock
from tests.fakes.region import RegionDouble
from workers.clock import SystemClock
from workers.region_client import HttpRegion
from workers.region_reply import BODY_LIMIT
from workers.regions import RegionSettings

PLACE = Place("r", "tenant", "svc", "web")
ENV = Call("add-env", "POST", "/env", {"env_name": "GREETING", "env_value": "crunchy-armchair", "tenant_id": "x"})

YEAR = 365 * 86_400.0


@pytest.fixture
def double() -> Iterator[RegionDouble]:
    with RegionDouble() as running:
        running.put_state({"tenants": {"north": {"web": {"service_id": "svc"}}}})
        yield running


def open_client(double: RegionDouble, call_seconds: float) -> HttpRegion:
    names = {"tenant": {"name": "north", "id": "n" * 32}}
    settings = RegionSettings("r", double.url, token="token-of-ours", call_seconds=call_seconds, tenants=names)
    return HttpRegion({"r": settings}, SystemClock())


@pytest.fixture
def client(double: RegionDouble) -> Iterator[HttpRegion]:
    """One that no test waits for: a busy machine is no region that does not answer."""
    region = open_client(double, call_seconds=30)
    yield region
    region.close()


@pytest.fixture
def hasty(double: RegionDouble) -> Iterator[HttpRegion]:
    """One that gives up while the test waits."""
    region = open_client(double, call_seconds=1)
    yield region
    region.close()


def test_a_call_arrives_with_the_regions_own_tenant_and_the_fence(double: RegionDouble, client: HttpRegion) -> None:
    assert client.send(PLACE, ENV, 7).status == 200
    entry = double.log()[0]
    assert entry["path"] == "/v2/tenants/north/services/web/env"
    assert entry["body"]["tenant_id"] == "n" * 32
    assert entry["fence"] == "7"


@pytest.mark.parametrize("call", [region_calls.add_env, region_calls.set_env])
def test_a_tenant_without_an_id_of_the_regions_kind_has_its_variables_too(
    double: RegionDouble, call: Callable[[Place, dict[str, Any]], Call]
) -> None:
    """A region that checks the length of ids refuses another one with 400, and the path names the tenant anyhow."""
    region = HttpRegion({"r": RegionSettings("r", double.url)}, SystemClock())
    place = Place("r", "north", "svc", "web")
    try:
        assert region.send(place, call(place, {"attr_name": "GREETING", "attr_value": "hello"}), 1).status == 200
    finally:
        region.close()
    assert not {"tenant_id", "service_id"} & set(double.log()[-1]["body"])


@pytest.mark.parametrize(
    ("action", "applied"),
    [("cut-before", False), ("cut-after", True), ("half-body", True)],
)
def test_a_reply_that_never_came_whole_is_trouble(
    double: RegionDouble, client: HttpRegion, action: str, applied: bool
) -> None:
    double.script({"do": action})
    reply = client.send(PLACE, ENV, 1)
    assert reply.trouble is Trouble.CUT
    assert bool(double.state("web")["envs"]) is applied


def test_a_region_that_takes_a_call_and_never_answers_is_trouble(double: RegionDouble, hasty: HttpRegion) -> None:
    double.script({"do": "hang"})
    assert hasty.send(PLACE, ENV, 1).trouble is Trouble.CUT
    assert not double.state("web")["envs"]


def test_a_region_that_answers_anything_is_there_and_one_that_does_not_says_why(
    double: RegionDouble, client: HttpRegion
) -> None:
    status, _, words = client.look("r")
    assert (status > 0, words) == (True, "")
    double.stop()
    assert client.look("r")[0] == 0 and client.look("r")[2]


def test_how_far_our_clock_is_ahead_of_a_regions_is_told(double: RegionDouble) -> None:
    """The double says what time it is here, and our clock is a year ahead."""
    region = HttpRegion({"r": RegionSettings("r", double.url)}, FakeClock(wall_ms=round((time.time() + YEAR) * 1000)))
    try:
        skew = region.look("r")[1]
    finally:
        region.close()
    assert skew is not None and abs(skew - YEAR) < YEAR / 2


def test_a_region_that_is_down_has_certainly_not_seen_the_call(double: RegionDouble, client: HttpRegion) -> None:
    double.stop()
    assert client.send(PLACE, ENV, 1).trouble is Trouble.NOT_SENT
    double._start()


@pytest.mark.parametrize(("action", "status"), [("double-body", 200), ("empty-500", 500), ("504-applied", 504)])
def test_an_odd_body_is_still_a_reply(double: RegionDouble, client: HttpRegion, action: str, status: int) -> None:
    double.script({"do": action})
    reply = client.send(PLACE, ENV, 1)
    assert (reply.status, reply.trouble) == (status, None)


def test_a_body_beyond_the_limit_is_not_read(double: RegionDouble, client: HttpRegion) -> None:
    double.script({"do": {"status": 200, "body": "x" * (BODY_LIMIT + 1)}})
    assert client.send(PLACE, ENV, 1).trouble is Trouble.CUT


def test_a_message_quotes_neither_our_values_nor_our_token(double: RegionDouble, client: HttpRegion) -> None:
    said = "crunchy-armchair of token-of-ours: record already exist"
    double.script({"do": {"status": 400, "body": {"msg": said}}})
    assert client.send(PLACE, ENV, 1).message == "*** of ***: record already exist"


def test_validation_errors_and_retry_after_are_read(double: RegionDouble, client: HttpRegion) -> None:
    body: dict[str, Any] = {"validation_error": {"port": ["too big"]}}
    double.script({"do": {"status": 400, "body": body, "headers": {"Retry-After": "3"}}})
    reply = client.send(PLACE, ENV, 1)
    assert (reply.message, reply.retry_after) == ("validation_error: port: too big", 3.0)


def test_fifty_calls_at_once_are_all_answered(double: RegionDouble, client: HttpRegion) -> None:
    calls = [Call("add-env", "POST", "/env", {"env_name": f"E{n}", "env_value": "v"}) for n in range(200)]
    with ThreadPoolExecutor(50) as pool:
        assert {reply.status for reply in pool.map(lambda call: client.send(PLACE, call, 1), calls)} == {200}


def test_an_unknown_region_is_refused_with_a_next_step(client: HttpRegion) -> None:
    with pytest.raises(Refused, match="does not know") as caught:
        client.send(Place("elsewhere", "t", "s", "a"), ENV, 1)
    assert "BACKSTAY_REGIONS" in caught.value.next_step
