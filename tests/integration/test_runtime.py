"""A node as a real process: it drains when asked to stop, hurries when asked twice, and is restarted in parts."""

from __future__ import annotations

import functools
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from domain.operation import TERMINAL, Operation, State
from tests.chaos.world import SOURCE, command, publish, settings_of
from tests.waiting import eventually
from workers.bootstrap import System
from workers.owner import Owner

HOME = Path(__file__).parents[2]
#: Some packs, incompressible. All but the first wait for bandwidth where it is limited.
MEBIBYTES = 48
#: Upload limits: the rest of a snapshot takes a few seconds, or longer than any test may.
SOON, NEVER = "16M", "64K"
#: What only time would end outlasts the suite's own limit for a test.
LONG = "3600"


class Node:
    """`backstay serve` or `backstay worker` on an embedded data directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.system = System(settings_of(home))
        self.system.database.migrate()
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self, *arguments: str, before: Callable[[], None] | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        given = {"BACKSTAY_DATA_DIR": str(self.home), "BACKSTAY_NODE": "chaos-1", "PATH": os.environ["PATH"]}
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers", *arguments],
                env=given | environment,
                cwd=HOME,
                stderr=log,
                preexec_fn=before,
            )
        return self.process

    def send(self, kind: str, message_id: str, data: dict[str, object]) -> None:
        publish(self.home, message_id, json.dumps(command(kind, message_id, data)).encode())

    def operation(self, message_id: str) -> Operation | None:
        return self.system.database.find_by_message(SOURCE, message_id)

    def ended(self, message_id: str) -> Operation:
        def look() -> Operation | None:
            found = self.operation(message_id)
            return found if found and found.state in TERMINAL else None

        found = eventually(look, what=f"{message_id} has ended")
        assert found is not None
        return found

    def says(self, event: str) -> None:
        """Wait for that event in the log."""
        eventually(lambda: f'"event": "{event}"' in (self.home / "log").read_text(), what=f"the node says {event}")

    def long_snapshot(self) -> Operation:
        """A registered service with much data, and a snapshot of it that has begun to store."""
        tree = self.home / "apps" / "shop"
        tree.mkdir(parents=True)
        with (tree / "data.bin").open("wb") as file:
            for _ in range(MEBIBYTES):
                file.write(os.urandom(1 << 20))
        self.send("register-service", "1-register", {})
        self.ended("1-register")
        self.send("create-snapshot", "2-long", {})

        def under_way() -> Operation | None:
            found = self.operation("2-long")
            if found is None:
                return None
            prefix = self.system.archive.pack_prefix("acme", found.op_id)
            return found if any(True for _ in self.system.store.list(prefix)) else None

        found = eventually(under_way, what="the snapshot stores its first pack")
        assert found is not None
        return found


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "data")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    made.system.close()


def test_a_first_sigterm_lets_running_work_finish(node: Node) -> None:
    process = node.start("serve", "--http", "127.0.0.1:0", BACKSTAY_SHUTDOWN_SECONDS=LONG, BACKSTAY_UPLOAD_LIMIT=SOON)
    node.long_snapshot()
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    found = node.operation("2-long")
    assert found is not None and found.state is State.SUCCEEDED


def test_a_node_may_hold_as_many_files_open_as_the_system_lets_it(node: Node) -> None:
    """Two big restores at once do not fit into the usual 1024."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    few = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (512, min(hard, 4096)))
    process = node.start("serve", "--http", "127.0.0.1:0", before=few)

    def limit() -> int:
        return resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0]

    assert eventually(lambda: limit() > 512, what="the node has raised its limit")
    assert limit() == min(hard, 4096)


def test_a_second_sigterm_gives_running_work_back_at_once(node: Node) -> None:
    """Neither the snapshot nor the time for it ends before the test."""
    process = node.start("serve", "--http", "127.0.0.1:0", BACKSTAY_SHUTDOWN_SECONDS=LONG, BACKSTAY_UPLOAD_LIMIT=NEVER)
    begun = node.long_snapshot()
    process.send_signal(signal.SIGTERM)
    node.says("node.stopping")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    found = node.operation("2-long")
    assert found is not None
    assert (found.state, found.lease_until, found.attempts) == (State.RUNNING, 0, 0)
    assert node.system.database.catalogue.get(begun.op_id) is None
    node.start("serve", "--http", "127.0.0.1:0")
    assert node.ended("2-long").state is State.SUCCEEDED


def test_a_restarted_node_takes_over_from_its_dead_predecessor_without_waiting_for_the_lease(node: Node) -> None:
    process = node.start("serve", "--http", "127.0.0.1:0", BACKSTAY_LEASE_SECONDS=LONG, BACKSTAY_UPLOAD_LIMIT=NEVER)
    node.long_snapshot()
    process.kill()
    process.wait()
    node.start("serve", "--http", "127.0.0.1:0", BACKSTAY_LEASE_SECONDS=LONG)
    found = node.ended("2-long")
    assert found.state is State.SUCCEEDED
    assert found.fence == 3  # register, the killed attempt, this one


def test_a_worker_process_that_dies_is_started_again(node: Node) -> None:
    node.send("register-service", "1-register", {})
    node.start("worker", "--processes", "2")
    assert node.ended("1-register").state is State.SUCCEEDED
    victim = int((node.ended("1-register").owner or "").split("|")[3])
    os.kill(victim, signal.SIGKILL)
    for number in range(4):
        node.send("register-service", f"2-again-{number}", {"alias": str(number)})
    assert {node.ended(f"2-again-{number}").state for number in range(4)} == {State.SUCCEEDED}
    assert node.process is not None
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(timeout=60) == 0


def test_no_child_outlives_a_killed_parent(node: Node) -> None:
    node.send("register-service", "1-register", {})
    process = node.start("worker", "--processes", "2")
    owner = node.ended("1-register").owner or ""
    process.kill()
    process.wait()
    me = Owner.of_this_process("chaos-1")
    eventually(lambda: me.is_dead(owner), what="the children end with their parent")


def test_a_worker_without_a_schema_says_what_to_do(tmp_path: Path) -> None:
    environment = {"BACKSTAY_DATA_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    run = subprocess.run(
        [sys.executable, "-m", "workers", "worker"],
        env=environment,
        cwd=HOME,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "backstay migrate" in run.stderr


def test_a_cancel_reaches_a_node_whose_slots_are_all_taken(node: Node) -> None:
    node.start("serve", "--http", "127.0.0.1:0", BACKSTAY_THREADS="1", BACKSTAY_UPLOAD_LIMIT=NEVER)
    begun = node.long_snapshot()
    node.send("cancel-operation", "3-cancel", {"operation_id": begun.op_id})
    assert node.ended("3-cancel").state is State.SUCCEEDED
    assert node.ended("2-long").state is State.CANCELLED
