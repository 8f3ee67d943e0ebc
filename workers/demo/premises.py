"""The installation that `backstay demo --broken` breaks: two nodes, a region, services, and a way to order things.

Apart from stage.py because this one lives in a configuration file as a real installation does, has nodes in
this process that give up soon while it is being prepared, and is left broken on purpose.
"""

from __future__ import annotations

import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from domain.audit import Actor
from domain.operation import TERMINAL, Budget, Operation, State
from workers import log
from workers.bootstrap import System
from workers.border import Publisher
from workers.config import Settings, load
from workers.demo.region import TENANT, Region
from workers.demo.stage import NotTrue
from workers.runtime import NodeProcess
from workers.web import credentials

NODE, LOST_NODE = "demo-1", "demo-2"
#: What the configuration says of the region's token until it is renewed behind the operator's back.
OLD_TOKEN = "Bearer 2025-demo"
#: While the stage is set nobody waits half an hour for a failure that is wanted.
HASTY = Budget(max_attempts=2, max_bugs=2, max_undo_attempts=2, backoff_base=0.01, backoff_cap=0.05)

CONFIGURATION = """\
# The configuration of this node. It is restarted when this file changes.
node = "{node}"
http = "{http}"

[regions.demo]
url = "{region_url}"
token = "{token}"
fenced = true
retry_seconds = 1

[regions.demo.tenants.{tenant}]
name = "{tenant}"
id = "{tenant_id}"

[sources.notes]                                # the database of the service wiki
kind = "command"
save = ["{home}/bin/dump-notes", "{home}/wiki.db"]
restore = ["{home}/bin/load-notes", "{home}/wiki.db"]
"""

_DUMP = """\
#!{python}
import sqlite3, sys
for line in sqlite3.connect(f"file:{{sys.argv[1]}}?mode=ro", uri=True).iterdump():
    print(line)
"""
_LOAD = """\
#!{python}
import os, sqlite3, sys
made = sys.argv[1] + ".new"
if os.path.exists(made):
    os.remove(made)
sqlite3.connect(made).executescript(sys.stdin.read())
os.replace(made, sys.argv[1])
"""


class Site:
    """An installation beneath `home`. `close()` stops what this process has started."""

    def __init__(self, home: Path, region: Region) -> None:
        self.home, self.region = home, region
        self.file = home / "backstay.toml"
        self.file.write_text(self._configuration())
        self._programs()
        log.configure("critical", NODE)  # what fails here is meant to
        self.system = System(self.settings())
        self.system.database.migrate()
        self._publisher = Publisher(self.settings().broker_url)
        self._nodes: dict[str, tuple[NodeProcess, System]] = {}

    def settings(self, node: str | None = None) -> Settings:
        """The file, as the node (or another one) reads it."""
        environment = {"BACKSTAY_DATA_DIR": str(self.home)}
        if node is not None:
            environment |= {"BACKSTAY_NODE": node, "BACKSTAY_APPS_ROOT": str(self.apps(node))}
        return load(environment)

    def apps(self, node: str = NODE) -> Path:
        """Where a node has the services' directories."""
        return self.home / "apps" if node == NODE else self.home / f"apps-of-{node}"

    def token(self) -> str:
        """A fresh one that may do everything, for the console and the HTTP API."""
        secret = credentials.new_token()
        self.system.database.tokens.create(
            "demo", credentials.digest(secret), {"*": "admin"}, Actor("demo", "cli"), None
        )
        return secret

    # ------------------------------------------------------------ nodes
    def start(self, node: str) -> None:
        """A node in this process, which gives up soon."""
        system = System(self.settings(node))
        process = NodeProcess(system, budget=HASTY)
        process.start()
        self._nodes[node] = (process, system)

    def stop(self, node: str) -> None:
        """Stop it in good order."""
        process, system = self._nodes.pop(node)
        process.stop(threading.Event())
        system.close()

    def close(self) -> None:
        """Stop everything."""
        for node in list(self._nodes):
            self.stop(node)
        self._publisher.close()
        self.system.close()

    # ------------------------------------------------------------ messages
    def publish(self, kind: str, service: str, data: dict[str, Any], source: str = "/platform") -> tuple[str, str]:
        """Publish a command as another system would; its key."""
        message_id = f"{kind}-{service}-{time.time_ns()}"
        event = {
            "specversion": "1.0",
            "id": message_id,
            "source": source,
            "type": f"backstay.{kind}.v1",
            "subject": f"tenant/{TENANT}/service/{service}",
            "data": data,
        }
        self._publisher.command(event)
        return source, message_id

    def publish_raw(self, body: bytes) -> None:
        """Put bytes into the inbox."""
        self._publisher.raw(body, {})

    def ended(self, key: tuple[str, str], expected: State = State.SUCCEEDED) -> Operation:
        """Wait until the operation has ended; NotTrue when it ends otherwise than it should."""
        found: list[Operation] = []

        def over() -> bool:
            operation = self.system.database.find_by_message(*key)
            found[:] = [operation] if operation is not None else []
            return operation is not None and operation.state in {*TERMINAL, State.STUCK}

        self.wait_for(over, f"{key[1]} did not end")
        (operation,) = found
        if operation.state is not expected:
            raise NotTrue(f"{key[1]} ended as {operation.state}: {operation.outcome}")
        return operation

    def run(self, kind: str, service: str, data: dict[str, Any], expected: State = State.SUCCEEDED) -> Operation:
        """Publish, and wait."""
        return self.ended(self.publish(kind, service, data), expected)

    def wait_for(self, condition: Callable[[], bool], otherwise: str, seconds: float = 60.0) -> None:
        """Look until it holds; NotTrue when it does not."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise NotTrue(f"{otherwise} within {seconds:.0f} s")
            time.sleep(0.02)

    # ------------------------------------------------------------ what lies there
    def write(self, service: str, files: dict[str, str], node: str = NODE) -> Path:
        """Write files into a service's directory, which is made if need be."""
        tree = self.apps(node) / service
        tree.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (tree / name).write_text(text)
        return tree

    def _configuration(self) -> str:
        region = self.region.settings()
        return CONFIGURATION.format(
            node=NODE, http=f"127.0.0.1:{_free_port()}", region_url=region["url"], token=OLD_TOKEN,
            tenant=TENANT, tenant_id=region["tenants"][TENANT]["id"], home=self.home,
        )  # fmt: skip

    def _programs(self) -> None:
        (self.home / "bin").mkdir()
        for name, text in (("dump-notes", _DUMP), ("load-notes", _LOAD)):
            program = self.home / "bin" / name
            program.write_text(text.format(python=sys.executable))
            program.chmod(0o755)
        with sqlite3.connect(self.home / "wiki.db") as database:
            database.execute("create table notes (text)")
            database.execute("insert into notes values ('the pumps are serviced in May')")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
