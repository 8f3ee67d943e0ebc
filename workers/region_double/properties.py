"""The calls that change one item of a service, with the duplicates and anomalies of the region's own code.

Apart from `restoring.py`, whose calls replace everything of a kind. Fields that the region ignores are stored
as they came, so that a test can compare them.
"""

from __future__ import annotations

from workers.region_double.answer import Answer, Request, Row, drop, find, invalid, ok, refuse, required, typed

ENV_TYPES = {
    "env_name": "text",
    "env_value": "text",
    "scope": "text",
    "container_port": "int",
    "name": "text",
    "is_change": "bool",
}
PORT_TYPES = {
    "container_port": "int",
    "mapping_port": "int",
    "protocol": "text",
    "port_alias": "text",
    "is_inner_service": "bool",
    "is_outer_service": "bool",
}
_VOLUME = {
    "volume_name": "text",
    "volume_path": "text",
    "volume_type": "text",
    "category": "text",
    "file_content": "text",
}
_PROBE = {
    "probe_id": "text",
    "mode": "text",
    "scheme": "text",
    "path": "text",
    "port": "int",
    "cmd": "text",
} | dict.fromkeys(
    (
        "initial_delay_second",
        "period_second",
        "timeout_second",
        "failure_threshold",
        "success_threshold",
        "is_used",
    ),
    "int",
)
_VOLUME_TYPES = ("share-file", "local", "memoryfs", "config-file")


def _env(request: Request) -> Row:
    row = typed(request.body, **ENV_TYPES, tenant_id="text")
    required(row, "env_name", *(() if request.modern else ("env_value",)))
    if row.get("container_port", 0) < 0:
        raise invalid("container_port", "The container_port field must be at least 0")
    return {name: value for name, value in row.items() if name not in ("tenant_id", "service_id")}


def add_env(request: Request) -> Answer:
    row = _env(request)
    if find(request.service["envs"], env_name=row["env_name"]):
        raise refuse(400, "record already exist")
    request.service["envs"].append(row)
    return ok()


def change_env(request: Request) -> Answer:
    row = _env(request)
    present = find(request.service["envs"], env_name=row["env_name"])
    if present is not None:
        names = ("env_value", "name", "is_change", "scope") if request.modern else ("env_value",)
        present.update({name: row[name] for name in names if name in row})
    return ok()


def remove_env(request: Request) -> Answer:
    row = typed(request.body, env_name="text")
    required(row, "env_name")
    drop(request.service["envs"], env_name=row["env_name"])
    return ok()


def _ports(request: Request) -> list[Row]:
    rows = typed(request.body, port="list").get("port") or []
    return [dict(typed(row, **PORT_TYPES)) for row in rows]


def add_ports(request: Request) -> Answer:
    """A duplicate fails with 500; what stood before it in the list stays, except in M, which has a transaction."""
    rows, ports = _ports(request), request.service["ports"]
    before = list(ports)
    for row in rows:
        if find(ports, container_port=row.get("container_port")):
            ports[:] = before if request.modern else ports
            raise refuse(500, "record already exist")
        ports.append(row)
    return ok(list=rows)


def change_ports(request: Request) -> Answer:
    """In A every item after the first is written onto the row of the first."""
    first: Row | None = None
    for row in _ports(request):
        present = find(request.service["ports"], container_port=row.get("container_port"))
        if present is None:
            raise refuse(500, "record not found")
        first = first or present
        (present if request.modern else first).update(row)
    return ok()


def _number(request: Request) -> int:
    if not request.part.isdigit():
        raise refuse(400, "port must be a number")
    return int(request.part)


def change_port(request: Request) -> Answer:
    number = _number(request)
    rows = _ports(request)
    for row in rows[:1]:
        present = find(request.service["ports"], container_port=row.get("container_port") if request.modern else number)
        if present is None:
            raise refuse(500, "record not found")
        present.update(row)
    return ok()


def remove_port(request: Request) -> Answer:
    drop(request.service["ports"], container_port=_number(request))
    return ok()


def add_volume(request: Request) -> Answer:
    row, volumes = typed(request.body, **_VOLUME), request.service["volumes"]
    required(row, "volume_name", "volume_path", "volume_type")
    if len(row["volume_name"]) > 50:
        raise invalid("volume_name", "The volume_name field must be at most 50")
    if not row["volume_path"].startswith("/"):
        raise refuse(400, "volume_path must start with /")
    if not request.modern and row["volume_type"] not in _VOLUME_TYPES:
        raise invalid("volume_type", "The volume_type field is not allowed")
    for name in ("volume_name", "volume_path"):
        if find(volumes, **{name: row[name]}):
            raise refuse(400, f"{name} {row[name]} is exist")
    volumes.append(dict(row))
    return ok()


def change_volume(request: Request) -> Answer:
    """An error has a success behind it: the region's handler forgets to return."""
    row = typed(request.body, **_VOLUME)
    required(row, "volume_type", *(("volume_path",) if request.modern else ()))
    if row["volume_type"] != "config-file" and not request.modern:
        raise refuse(400, "only config-file can be changed")
    present = find(request.service["volumes"], volume_name=row.get("volume_name"))
    if present is None:
        raise refuse(500, "record not found", twice=True)
    for name in ("file_content", "volume_path"):
        if row.get(name) or (request.modern and name in row):
            present[name] = row[name]
    return ok(bean="success")


def remove_volume(request: Request) -> Answer:
    drop(request.service["volumes"], volume_name=request.part)
    return ok()


def volumes(request: Request) -> Answer:
    return ok(list=request.service["volumes"])


def checked_probe(request: Request) -> Row:
    """A probe that the validator lets pass."""
    row = dict(typed(request.body, **_PROBE))
    required(row, "probe_id")
    if not 30 <= len(row["probe_id"]) <= 33:
        raise invalid("probe_id", "The probe_id field must be between 30 and 33")
    if row.get("is_used", 0) not in (0, 1):
        raise invalid("is_used", "The is_used field must be one of 0, 1")
    if row.get("port") is not None and not 1 <= row["port"] <= 65535:
        raise invalid("port", "The port field must be between 1 and 65535")
    row.pop("tenant_id", None)
    return row


def _silent(request: Request) -> Answer:
    return ok() if request.modern else Answer(200)


def add_probe(request: Request) -> Answer:
    row = checked_probe(request)
    if find(request.service["probes"], mode=row.get("mode")):
        raise refuse(500, f"probe mode {row.get('mode')} of service {request.service['service_id']} is exist")
    request.service["probes"].append(row)
    return _silent(request)


def change_probe(request: Request) -> Answer:
    row = checked_probe(request)
    present = find(request.service["probes"], probe_id=row["probe_id"])
    if present is None:
        raise refuse(404, "probe not found")
    present.clear()
    present.update(row)
    return _silent(request)


def remove_probe(request: Request) -> Answer:
    row = typed(request.body, probe_id="text")
    required(row, "probe_id")
    drop(request.service["probes"], probe_id=row["probe_id"])
    return _silent(request)
