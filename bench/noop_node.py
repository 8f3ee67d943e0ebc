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


NOTHING = Subscription(Nothing, handle)
#: What it understands; "elsewhere" waits for a node that does not exist, until it is cancelled.
KNOWN = {
    "noop": NOTHING,
    "urgent": NOTHING,
    "elsewhere": Subscription(Nothing, handle, exclusive=False, node=lambda payload: "no-such-node"),
    "cancel-operation": cancel_operation.subscription,
}


def main() -> None:
    settings = load()
    log.configure("error", settings.node)
    system = System(settings)
    system.database.migrate()
    node = NodeProcess(system, KNOWN)
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    node.start()
    print("ready", flush=True)
    told.wait()
    node.stop(threading.Event())


if __name__ == "__main__":
    main()
