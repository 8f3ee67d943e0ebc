"""The region of the demo, and what "console and region say the same" means, column by column.

The region is Backstay's own double in a process of its own, because the demo must run anywhere; what it
holds is asked for over HTTP. The comparison is spelled out here, apart from the code that makes the calls,
so that a mistake there cannot hide itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from domain.configuration import Configuration

TENANT = "acme"
#: The region's own id of the tenant; ids have 32 digits there.
_TENANT_ID = "ac" * 16
#: Where `python -m workers` is found when Backstay is not installed.
HOME = Path(__file__).parents[2]
_SECTIONS = ("envs", "ports", "volumes", "probes")
Rows = dict[str, Any]


class Region:
    """`with Region() as region`: a fenced region on a free port, killed at the end."""

    def __enter__(self) -> Region:
        command = [sys.executable, "-m", "workers.region_double", "--port", "0", "--fenced"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HOME, start_new_session=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def settings(self) -> dict[str, Any]:
        """What a node must be told about it."""
        return {"url": self.url, "fenced": True, "tenants": {TENANT: {"name": TENANT, "id": _TENANT_ID}}}

    def install(self, alias: str, service_id: str, rows: Rows) -> None:
        """Let the region have a service that looks like this."""
        self._ask("state", {"tenants": {TENANT: {alias: rows | {"service_id": service_id}}}})

    def script(self, *rules: dict[str, Any]) -> None:
        """What shall go wrong from now on; nothing when empty."""
        self._ask("script", list(rules))

    def renew_token(self, token: str, refusal: str) -> None:
        """From now on let in only whoever has this token, and tell everybody else `refusal`."""
        self._ask("token", {"token": token, "refusal": refusal})

    def held(self, alias: str) -> Rows:
        """What the region holds of the service, in the shape of `as_region`."""
        service = self._ask("state")["tenants"][TENANT][alias]
        found = {name: _sorted([_without_owner(row) for row in service[name]]) for name in _SECTIONS}
        return found | {"image": service["image"]}

    def calls(self, *, since: int = 0) -> list[str]:
        """`METHOD /path` of the changes that took effect, in their order, after the first `since` of them."""
        changes = [
            f"{line['method']} /{line['path'].rpartition('/services/')[2].partition('/')[2]}"
            for line in self._ask("log")
            if line["method"] != "GET" and line["applied"] and not line["path"].endswith("/seal")
        ]
        return changes[since:]

    def _ask(self, name: str, document: Any = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        with urllib.request.urlopen(f"{self.url}/_double/{name}", data, timeout=10) as response:
            return json.load(response)


def as_region(configuration: Configuration) -> Rows:
    """The console's rows in the region's columns: what the region must hold, all of it and nothing else."""
    variables = [*configuration.of("env").values(), *configuration.of("connect_info").values()]
    volumes = [*configuration.of("volume").values(), *configuration.of("config_file").values()]
    return {
        "envs": _sorted([_env(row) for row in variables]),
        "ports": _sorted([dict(row) for row in configuration.of("port").values()]),
        "volumes": _sorted([{"file_content": "", **row} for row in volumes]),
        "probes": _sorted([row | {"is_used": int(row["is_used"])} for row in configuration.of("probe").values()]),
        "image": configuration.of("image")["image"]["value"],
    }


def _env(row: Rows) -> Rows:
    kept = {name: row[name] for name in ("name", "is_change", "scope", "container_port")}
    return kept | {"env_name": row["attr_name"], "env_value": row["attr_value"]}


def _without_owner(row: Rows) -> Rows:
    return {name: value for name, value in row.items() if name != "service_id"}


def _sorted(rows: list[Rows]) -> list[Rows]:
    return sorted((dict(sorted(row.items())) for row in rows), key=json.dumps)
