"""The region's double as a process of its own, which a test scripts and questions."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from types import TracebackType
from typing import Any


class RegionDouble:
    """Starts on a free port; `with RegionDouble(...) as region`. `restart` keeps the port, and the state if kept."""

    def __init__(
        self, *, generation: str = "A", fenced: bool = False, latency_ms: int = 0, state_file: str = ""
    ) -> None:
        self._options = ["--generation", generation, "--latency-ms", str(latency_ms)]
        self._options += ["--fenced"] if fenced else []
        self._options += ["--state", state_file] if state_file else []
        self._port = 0
        self._start()

    def __enter__(self) -> RegionDouble:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Come back at the same address after `stop`."""
        self._start()

    def root(self) -> dict[str, Any]:
        """Everything that the double remembers."""
        found: dict[str, Any] = self._ask("state")
        return found

    def _start(self) -> None:
        command = [sys.executable, "-m", "workers.region_double", "--port", str(self._port), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the double did not start"
        self._port = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        """Kill it, as a crash would."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def restart(self) -> None:
        """Crash and come back at the same address."""
        self.stop()
        self._start()

    def script(self, *rules: dict[str, Any]) -> None:
        """Replace the fault script; see workers/region_double/faults.py."""
        self._ask("script", list(rules))

    def struck(self) -> int:
        """How often the present script has decided about a request."""
        return int(self._ask("script")["struck"])

    def calls(self) -> int:
        """How many requests there were since the present script."""
        return int(self._ask("script")["calls"])

    def put_state(self, document: dict[str, Any]) -> None:
        """`{"tenants": {tenant: {alias: {parts}}}, settings…}`."""
        self._ask("state", document)

    def reset(self) -> None:
        """No services, no script, no log."""
        self._ask("reset", {})

    def log(self) -> list[dict[str, Any]]:
        """Every request in order."""
        found: list[dict[str, Any]] = self._ask("log")
        return found

    def state(self, service: str, tenant: str | None = None) -> dict[str, Any]:
        """The parts of the service with that alias."""
        tenants: dict[str, Any] = self._ask("state")["tenants"]
        return next(
            dict(services[service])
            for name, services in tenants.items()
            if service in services and tenant in (None, name)
        )

    def _ask(self, name: str, document: Any = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        with urllib.request.urlopen(f"{self.url}/_double/{name}", data, timeout=60) as response:
            return json.load(response)
