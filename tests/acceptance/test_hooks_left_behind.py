"""A worker ends while the program that wakes a service runs: that one ends by itself, and the next worker waits for it.

These are real processes, because what is left behind belongs to none of the threads of a test.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from domain.operation import Operation, State
from tests.acceptance.platform import Platform, code
from tests.command_line import program
from tests.waiting import eventually

#: What only time would end outlasts the suite's own limit for a test.
LONG = "3600"


class Site:
    """A platform with a service and a snapshot, and the workers of its one node as programs."""

    def __init__(self, home: Path) -> None:
        self.said, self.gate, self.data = home / "said", home / "gate", home / "data"
        said, gate = self.said, self.gate
        hooks = {
            "seconds": int(LONG),
            "before_restore": ["sh", "-c", f"echo resting >> {said}"],
            "after_restore": [
                "sh", "-c", f"echo waking >> {said}; while [ ! -e {gate} ]; do sleep 0.02; done; echo awake >> {said}",
            ],
        }  # fmt: skip
        environment = {"BACKSTAY_HOOKS": json.dumps(hooks), "BACKSTAY_LEASE_SECONDS": LONG}
        self.platform = Platform(self.data, **environment)
        self._environment = environment | {
            "BACKSTAY_DATA_DIR": str(self.data),
            "BACKSTAY_NODE": "web-1",
            "BACKSTAY_APPS_ROOT": str(self.platform.apps("web-1")),
            "BACKSTAY_SHUTDOWN_SECONDS": LONG,
        }
        self._workers: list[subprocess.Popen[str]] = []

    def waking(self) -> tuple[subprocess.Popen[str], str]:
        """A worker that has restored a snapshot and wakes the service, and the message that asked for it."""
        self.platform.start("web-1")
        self.platform.service("web")
        taken = self.platform.snapshot("web")
        self.platform.stop("web-1")
        message = self.platform.publish("restore-snapshot", {"snapshot_id": taken.snapshot_id}, service="web")
        worker = self.worker()
        eventually(lambda: "waking" in self.told(), what="the service is being woken")
        return worker, message

    def worker(self) -> subprocess.Popen[str]:
        with (self.data / "log").open("a") as log:
            worker = program(["worker"], self._environment, stdout=subprocess.DEVNULL, stderr=log)
        self._workers.append(worker)
        return worker

    def told(self) -> list[str]:
        """What the programs have said."""
        return self.said.read_text().split() if self.said.exists() else []

    def logs(self, event: str) -> None:
        """Wait for that event in the log."""
        eventually(lambda: f'"event": "{event}"' in (self.data / "log").read_text(), what=f"a worker says {event}")

    def operation(self, message: str) -> Operation:
        found = self.platform.find(message)
        assert found is not None
        return found

    def takes_over(self) -> None:
        """Another worker begins, and waits; or it has gone on without waiting."""
        worker, before = self.worker(), self.told()
        eventually(lambda: self.told() != before or self._is_at_the_lock(worker), what="its successor waits")

    def _is_at_the_lock(self, worker: subprocess.Popen[str]) -> bool:
        """Whether it has the file open on which whoever runs a hook waits."""
        lock = str(self.data / "locks" / "hooks" / "web.lock")
        for handle in os.listdir(f"/proc/{worker.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                if os.readlink(f"/proc/{worker.pid}/fd/{handle}") == lock:
                    return True
        return False

    def close(self) -> None:
        self.gate.touch()
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self.platform.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def stops(site: Site, worker: subprocess.Popen[str]) -> None:
    """It is told twice: its time is up."""
    worker.send_signal(signal.SIGTERM)
    site.logs("node.stopping")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0


def dies(_site: Site, worker: subprocess.Popen[str]) -> None:
    worker.kill()
    worker.wait()


@pytest.mark.parametrize("ends", [stops, dies])
def test_whoever_takes_over_waits_until_the_service_is_awake_before_it_puts_it_to_rest(
    site: Site, ends: Callable[[Site, subprocess.Popen[str]], None]
) -> None:
    """I7: the service would start in a tree that is being replaced, or run in one that is about to be emptied."""
    worker, message = site.waking()
    ends(site, worker)
    left = site.operation(message)
    assert left.state is State.RUNNING and left.lease_until > 0, "nobody has it given back while its program runs"
    site.takes_over()
    assert site.told() == ["resting", "waking"]
    site.gate.touch()
    done = site.platform.outcome(message)
    assert done.state is State.SUCCEEDED, done.outcome
    assert done.fence == left.fence + 1
    assert site.told() == ["resting", "waking", "awake"] * 2


def test_what_is_cancelled_then_is_put_back_only_when_the_service_rests_again(site: Site) -> None:
    """I7: the tree in which it is being started would be exchanged."""
    worker, message = site.waking()
    tree = site.platform.apps("web-1") / "web"
    new = tree.stat().st_ino
    dies(site, worker)
    assert site.platform.system.database.ledger.request_cancel(site.operation(message).op_id) is State.RUNNING
    site.takes_over()
    assert (site.told(), tree.stat().st_ino) == (["resting", "waking"], new)
    site.gate.touch()
    assert code(site.platform.outcome(message)) == (State.ROLLED_BACK, "cancelled")
    assert site.told() == ["resting", "waking", "awake"] * 2
    assert tree.stat().st_ino != new
