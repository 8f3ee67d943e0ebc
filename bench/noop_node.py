"""A node whose commands do nothing, so that only the machinery is measured; cancelling is the real one.

Run as `python -m bench.noop_node` with the environment of a worker.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

from domain.context import Context
from domain.outcome import Outcome
from domain.subscription import Subscription
from handlers import Payload, cancel_operation
from workers import log
from workers.bootstrap import System
from workers.config import load
from workers.runtime import NodeProcess


class Nothing(Payload):
    """No fields."""


def handle(payload: Any, context: Context) -> Outcome:
    """Do nothing, truthfully."""
    return Outcome.succeeded("nothing was asked for")


def main() -> None:
    settings = load()
    log.configure("error", settings.node)
    system = System(settings)
    system.database.migrate()
    nothing = Subscription(Nothing, handle)
    known = {"noop": nothing, "urgent": nothing, "cancel-operation": cancel_operation.subscription}
    node = NodeProcess(system, known)
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    node.start()
    print("ready", flush=True)
    told.wait()
    node.stop(threading.Event())


if __name__ == "__main__":
    main()
