"""The double against the region's own behaviour, one anomaly each; the server is in the client's tests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workers.region_double.answer import Answer
from workers.region_double.faults import Script
from workers.region_double.state import RegionState

PROBE: dict[str, Any] = {"probe_id": "p" * 32, "mode": "liveness", "port": 80, "is_used": 1}
VOLUME: dict[str, Any] = {"volume_name": "data", "volume_path": "/data", "volume_type": "share-file"}
PORT: dict[str, Any] = {"container_port": 80, "protocol": "http"}
BUILD: dict[str, Any] = {
    "service_id": "web",
    "event_id": "e1",
    "kind": "build_from_market_image",
    "image_info": {"image_url": "shop:2"},
}


class Bench:
    """A region with the services `web` and `db`."""

    def __init__(self, generation: str = "A", *, fenced: bool = False) -> None:
        self.region = RegionState(generation, fenced=fenced)
        self.region.put({"tenants": {"north": {"web": {}, "db": {"volumes": [VOLUME]}}}})

    def call(self, method: str, path: str, body: Any = None, fence: int | None = None) -> Answer:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {} if fence is None else {"x-backstay-fence": str(fence)}
        return self.region.handle(method, f"/v2/tenants/north/services/web{path}", headers, raw)

    def event(self, event_id: str) -> Any:
        raw = json.dumps({"event_ids": [event_id]}).encode()
        return json.loads(self.region.handle("GET", "/v2/tenants/north/event", {}, raw).body)["list"][0]

    @property
    def web(self) -> dict[str, Any]:
        found: dict[str, Any] = self.region.root["tenants"]["north"]["web"]
        return found


@pytest.mark.parametrize(
    ("generation", "path", "body", "status"),
    [
        ("A", "/env", {"env_name": "A", "env_value": "1"}, 400),
        ("A", "/ports", {"port": [PORT]}, 500),
        ("A", "/volumes", VOLUME, 400),
        ("A", "/probe", PROBE, 500),
        ("A", "/dependency", {"dep_service_id": "db", "dep_service_type": "x"}, 500),
        (
            "M",
            "/dependency",
            {"dep_service_id": "db", "dep_service_type": "x", "namespace": "n", "dep_sa_name": ""},
            200,
        ),
        ("A", "/depvolumes", VOLUME | {"depend_service_id": "db"}, 500),
        ("A", "/plugin", {"plugin_id": "p", "version_id": "1"}, 400),
    ],
)
def test_a_second_addition_is_answered_as_the_region_does(
    generation: str, path: str, body: dict[str, Any], status: int
) -> None:
    bench = Bench(generation)
    assert bench.call("POST", path, body).status == 200
    assert bench.call("POST", path, body).status == status


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/env", {"env_name": "A", "env_value": ""}, 400),
        ("POST", "/env", {"env_name": "A", "env_value": 1}, 400),
        ("POST", "/env", {"env_name": "A", "env_value": "1", "tenant_id": "short"}, 400),
        ("POST", "/ports", {"port": [{"container_port": "80"}]}, 400),
        ("POST", "/ports", {}, 200),
        ("PUT", "/ports", {"port": [PORT]}, 500),
        ("PUT", "/volumes", {"volume_type": "share-file"}, 400),
        ("DELETE", "/volumes/nothing", None, 200),
        ("POST", "/probe", PROBE | {"is_used": True}, 400),
        ("PUT", "/probe", PROBE, 404),
        ("POST", "/dependency", {"dep_service_id": "db"}, 400),
        ("POST", "/dependency", {"dep_service_id": "db", "dep_service_type": None}, 500),
        ("POST", "/depvolumes", VOLUME | {"depend_service_id": "nobody"}, 404),
        ("DELETE", "/depvolumes", {"depend_service_id": "db", "volume_name": "data"}, 404),
        ("POST", "/app-restore/probe", {}, 400),
        ("POST", "/app-restore/envs", {"scope": "wrong"}, 400),
        ("POST", "/build", BUILD | {"service_id": "db"}, 400),
        ("POST", "/build", {"service_id": "web"}, 400),
    ],
)
def test_what_the_validator_says(method: str, path: str, body: Any, status: int) -> None:
    assert Bench().call(method, path, body).status == status


def test_ports_before_a_duplicate_stay_in_a_and_go_in_m() -> None:
    for generation, left in (("A", [80, 90]), ("M", [80])):
        bench = Bench(generation)
        bench.call("POST", "/ports", {"port": [PORT]})
        bench.call("POST", "/ports", {"port": [PORT | {"container_port": 90}, PORT]})
        assert [row["container_port"] for row in bench.web["ports"]] == left


def test_several_ports_in_one_change_are_written_onto_the_first() -> None:
    bench = Bench()
    rows = [PORT, PORT | {"container_port": 90}]
    bench.call("POST", "/ports", {"port": rows})
    bench.call("PUT", "/ports", {"port": rows})
    assert [row["container_port"] for row in bench.web["ports"]] == [90, 90]


def test_a_failed_change_of_a_volume_has_two_documents() -> None:
    answer = Bench().call("PUT", "/volumes", {"volume_name": "none", "volume_type": "config-file"})
    assert answer.status == 500 and answer.body.count(b"{") == 2


def test_probes_answer_with_nothing_and_an_empty_restore_removes_them() -> None:
    bench = Bench()
    assert bench.call("POST", "/probe", PROBE).body == b""
    bench.call("POST", "/app-restore/probe", b"")
    assert bench.web["probes"] == []


def test_a_missing_list_wipes_the_scope_and_no_other() -> None:
    bench = Bench()
    for scope in ("inner", "outer"):
        bench.call("POST", "/env", {"env_name": scope, "env_value": "1", "scope": scope})
    bench.call("POST", "/app-restore/envs", {"scope": "inner", "typo": []})
    assert [row["env_name"] for row in bench.web["envs"]] == ["outer"]


def test_restoring_volumes_loses_them_once_and_then_always_fails() -> None:
    bench = Bench()
    bench.call("POST", "/volumes", VOLUME)
    assert bench.call("POST", "/app-restore/volumes", {"volumes": [VOLUME]}).status == 200
    assert bench.web["volumes"] == []
    assert bench.call("POST", "/app-restore/volumes", {"volumes": [VOLUME]}).status == 500


def test_a_plugin_that_was_removed_comes_back_without_its_configuration() -> None:
    bench = Bench()
    bench.call("POST", "/plugin", {"plugin_id": "p", "version_id": "1", "config_envs": {"normal_envs": []}})
    bench.call("DELETE", "/plugin/p")
    bench.call("POST", "/app-restore/plugins", {"plugins": [{"plugin_id": "p", "version_id": "1", "switch": True}]})
    assert "config_envs" not in bench.web["plugins"][0]


def test_a_repeated_event_id_starts_a_second_build() -> None:
    bench = Bench()
    bench.call("POST", "/build", BUILD)
    bench.call("POST", "/build", BUILD)
    assert [event["image"] for event in bench.region.root["events"]] == ["shop:2", "shop:2"]


def test_m_makes_event_ids_itself_and_asks_for_arch() -> None:
    bench = Bench("M")
    assert bench.call("POST", "/build", BUILD).status == 400
    bean = json.loads(bench.call("POST", "/build", BUILD | {"arch": "amd64"}).body)["bean"]
    assert bean["event_id"] != "e1"
    assert bench.event(bean["event_id"])["status"] == "success"


def test_an_event_ends_as_its_service_was_told_and_never_can_be_told() -> None:
    for final, shown in (("failure", "failure"), ("timeout", "timeout"), ("never", "")):
        bench = Bench()
        bench.web["final"] = final
        bench.call("POST", "/build", BUILD)
        assert bench.event("e1")["Status"] == shown


@pytest.mark.parametrize(("setting", "shown"), [("broken_images", "failure"), ("silent_images", "")])
def test_an_image_decides_how_its_deployments_end_and_those_of_others_go_well(setting: str, shown: str) -> None:
    bench = Bench()
    bench.region.put({setting: ["shop:2"]})
    bench.call("POST", "/build", BUILD)
    assert bench.event("e1")["Status"] == shown
    bench.call("POST", "/build", BUILD | {"event_id": "e2", "image_info": {"image_url": "shop:1"}})
    assert bench.event("e2")["Status"] == "success"


def test_a_fenced_region_refuses_an_older_fence_and_seal_only_raises_it() -> None:
    bench = Bench(fenced=True)
    assert bench.call("POST", "/seal", fence=5).status == 200
    refused = bench.call("POST", "/env", {"env_name": "A", "env_value": "1"}, fence=4)
    assert (refused.status, refused.headers["X-Backstay-Fenced"]) == (412, "5")
    assert bench.web["envs"] == []


def test_unknown_services_and_tenants_are_named() -> None:
    region = Bench().region
    assert b"cant find tenant" in region.handle("GET", "/v2/tenants/x/services/web/status", {}, b"").body
    assert b"cant find service" in region.handle("GET", "/v2/tenants/north/services/x/status", {}, b"").body


def test_a_script_tells_how_often_it_has_struck_and_not_how_often_it_was_meant_to() -> None:
    script = Script([{"match": {"method": "PUT", "nth": 2}, "do": "cut-before"}, {"match": {"nth": 9}, "do": "hang"}])
    for _ in range(3):
        script.fault("PUT", "/v2/tenants/north/services/web/env")
    assert (script.calls, script.struck) == (3, 1)
