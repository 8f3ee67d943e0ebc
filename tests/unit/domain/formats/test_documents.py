"""Whatever comes in is read or refused by its path: nothing else is raised, and no secret is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.configuration import SCHEMA, Configuration
from domain.errors import InvalidMessage
from domain.formats import canonical, check_template, configuration_from, details_from
from domain.formats.native_lists import LISTS
from domain.formats.rainbond_details import SECTIONS
from domain.kinds import KINDS

GOLDEN = Path(__file__).parents[3] / "golden"
SECRETS = ("golden-registry-secret", "golden-env-secret", "golden-file-secret", "golden-plugin-secret")


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"rainbond-{name}.json").read_text())


# ---------------------------------------------------------------- our own document
def test_our_own_document_is_read_as_it_was_written() -> None:
    configuration = configuration_from(golden("details"))
    assert configuration_from(json.loads(json.dumps(configuration.document()))) == configuration


@pytest.mark.parametrize("schema", [SCHEMA + 1, 0, "1", True, None])
def test_a_document_of_another_schema_is_refused(schema: Any) -> None:
    """B17."""
    with pytest.raises(InvalidMessage) as refusal:
        configuration_from({"schema": schema, "items": {}})
    assert refusal.value.field == "configuration.schema"


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"items": []}, "items"),
        ({"items": {"evn": {}}}, "items.evn"),
        ({"items": {"env": ["canary"]}}, "items.env"),
        ({"items": {"env": {"A": "canary"}}}, "items.env.A"),
        ({"items": {"env": {"A": {}}}}, "items.env.A.attr_name"),
        ({"items": {"port": {"80": {"container_port": "canary"}}}}, "items.port.80.container_port"),
        ({"items": {"image": {"image": {}}}}, "items.image.image.value"),
        ({"items": {}, "origin": "canary"}, "origin"),
        ({"items": {}, "origin": {"share_uuid": ["canary"]}}, "origin.share_uuid"),
        ({"items": {}, "origin": {"plugins": ["canary"]}}, "origin.plugins"),
        ({"items": {}, "rest": ["canary"]}, "rest"),
        ({"items": {}, "password": "canary"}, "password"),
    ],
)
def test_an_edited_document_is_refused_by_path(document: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        configuration_from({"schema": SCHEMA} | document)
    assert refusal.value.field == f"configuration.{field}" and "canary" not in str(refusal.value)


def test_every_kind_can_be_in_our_own_document() -> None:
    assert set(canonical.NEEDED) == set(KINDS)


@pytest.mark.parametrize("said", [{}, {"scope": None, "volume_type": ""}])
def test_what_a_row_lacks_and_its_kind_decides_is_filled_in(said: dict[str, Any]) -> None:
    """Told again without it, it would be another kind's."""
    items = {
        "connect_info": {"A": {"attr_name": "A", **said}},
        "config_file": {"/e": {"volume_name": "n", "volume_path": "/e", **said}},
    }
    document = {"schema": SCHEMA, "items": items}
    found = configuration_from(document)
    assert found.of("connect_info")["A"]["scope"] == "outer"
    assert found.of("config_file")["/e"]["volume_type"] == "config-file"
    assert configuration_from(details_from(found, "t", "s")).of("config_file").keys() == {"/e"}
    assert items["connect_info"]["A"].get("scope") is None  # what is read is left as it is


# ---------------------------------------------------------------- other shapes
@pytest.mark.parametrize("document", [None, "canary", 7, True])
def test_what_is_no_document_is_refused(document: Any) -> None:
    with pytest.raises(InvalidMessage, match="configuration must be an object"):
        configuration_from(document)


@pytest.mark.parametrize("document", [[], ["canary"], [{"image": "canary"}], [None, {}]])
def test_a_list_that_is_no_backup_is_refused(document: Any) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        configuration_from(document)
    assert refusal.value.field == "configuration.0" and "canary" not in str(refusal.value)


# ---------------------------------------------------------------- anything at all
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 70_000)
    | st.sampled_from(["", "a", "/a", "outer", "config-file", "{}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "path", "mode", "a"]), inner),
    max_leaves=8,
)
COLUMNS = (
    "ID", "attr_name", "scope", "container_port", "volume_path", "volume_name", "volume_type", "volume_id", "mode",
    "dep_service_id", "mnt_name", "mnt_dir", "plugin_id", "file_content", "extend_info", "service_key", "value",
    "service_share_uuid", "share_image", "service_image", "extend_method_map", "plugin_key", "attr", "name", "path",
    "port", "service", "volume", "id", "settings", "origin_share_id",
)  # fmt: skip
ROW = st.dictionaries(st.sampled_from(COLUMNS), JSON, max_size=6)
PART = JSON | ROW | st.lists(ROW, max_size=3)


def document_of(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), PART, max_size=6)


@given(
    document_of("service_base", "service_source", "plugins", "group", *SECTIONS)
    | document_of("schema", "items", "origin", "rest")
    | document_of("image", "memory", "registry", "team_plugins", "probe", *LISTS)
    | st.lists(PART, max_size=2)
    | JSON
)
def test_a_document_is_read_or_refused_and_nothing_else(document: Any) -> None:
    try:
        configuration = configuration_from(document)
    except InvalidMessage as refusal:
        assert refusal.field.startswith("configuration")
        return
    assert Configuration.load(json.loads(json.dumps(configuration.document()))) == configuration
    assert configuration_from(details_from(configuration, "t", "s")) is not None


LISTED = (
    "service_env_map_list", "service_connect_info_map_list", "port_map_list", "service_volume_map_list", "probes",
    "dep_service_map_list", "mnt_relation_list", "service_related_plugin_config", "service_image", "service_slug",
    "service_share_uuid", "share_image", "share_slug_path", "cmd", "extend_method_map", "service_id",
)  # fmt: skip


@given(
    st.fixed_dictionaries(
        {"apps": st.lists(document_of(*LISTED).map(lambda app: {"service_key": "k"} | app), max_size=2) | JSON},
        optional={"plugins": PART, "template_version": st.just("v2")},
    )
    | st.fixed_dictionaries({"services": st.dictionaries(st.just("web"), document_of("image", *LISTS)) | JSON})
    | JSON
)
def test_a_template_is_read_or_refused_and_nothing_else(template: Any) -> None:
    try:
        check_template(template)
    except InvalidMessage as refusal:
        assert refusal.field.startswith("template")


# ---------------------------------------------------------------- generated exports
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
NULLABLE = st.none() | TEXT


def table(keys: dict[str, st.SearchStrategy[Any]], **columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Rows with ids of their own, in any order; duplicates of the other keys are allowed, as in the tables."""
    row = st.fixed_dictionaries({"ID": st.integers(1, 10**6), **keys, **columns})
    return st.lists(row, max_size=4, unique_by=lambda found: found["ID"])


@st.composite
def exports(draw: st.DrawFn) -> dict[str, Any]:
    base = st.fixed_dictionaries(
        {"service_id": TEXT, "image": NULLABLE, "cmd": NULLABLE, "version": NULLABLE, "min_memory": st.integers(0, 9)},
        optional={"deploy_version": NULLABLE, "tenant_service_group_id": st.integers(0, 3), "desc": NULLABLE},
    )
    info = st.dictionaries(st.sampled_from(["hub_url", "hub_password", "ftp_host", "slug_path", "market"]), TEXT)
    source = st.fixed_dictionaries(
        {"service": TEXT, "version": NULLABLE, "group_key": NULLABLE, "service_share_uuid": NULLABLE},
        optional={"extend_info": st.none() | st.just("") | info.map(json.dumps)},
    )
    volumes = draw(
        table({"volume_path": TEXT, "volume_name": TEXT}, volume_type=st.sampled_from(["local", "config-file"]))
    )
    ids = st.sampled_from([row["ID"] for row in volumes] or [0])
    plugin_ids = st.sampled_from(["p", "q", "r"])
    sections: dict[str, st.SearchStrategy[Any]] = {
        "service_env_vars": table({"attr_name": TEXT}, scope=st.sampled_from(["inner", "outer", "both"])),
        "service_ports": table({"container_port": st.integers(1, 65535)}, is_outer_service=st.booleans()),
        "service_config_file": table({"volume_id": ids | st.integers(0, 5)}, file_content=NULLABLE),
        "service_probes": table({"mode": st.sampled_from(["readiness", "liveness"])}, path=NULLABLE),
        "service_relation": table({"dep_service_id": TEXT}),
        "service_mnts": table({"dep_service_id": TEXT, "mnt_name": TEXT, "mnt_dir": TEXT}),
        "service_plugin_relation": table({"plugin_id": plugin_ids}, build_version=NULLABLE),
        "service_plugin_config": table({"plugin_id": plugin_ids}, attrs=NULLABLE),
        "service_labels": table({"label_id": TEXT}),
        "service_compile_env": st.none() | st.dictionaries(TEXT, JSON, max_size=2),
    }
    found: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=sections))
    found |= {"service_base": draw(base), "service_volumes": volumes}
    return found | draw(st.fixed_dictionaries({}, optional={"service_source": source | st.none()}))


@given(exports())
def test_any_export_comes_back_as_it_was(document: dict[str, Any]) -> None:
    kept = json.loads(json.dumps(configuration_from(document).document()))
    assert details_from(Configuration.load(kept), "t", "s") == document


# ---------------------------------------------------------------- secrets
def test_no_secret_is_in_the_text_of_a_configuration() -> None:
    """B55."""
    configuration = configuration_from(golden("details"))
    assert all(secret in json.dumps(configuration.document()) for secret in SECRETS)
    assert not [secret for secret in SECRETS if secret in repr(configuration) or secret in str(configuration)]
