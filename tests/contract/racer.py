"""One process of the race in `test_two_processes_race.py`: claims and settles until the queue is empty.

    python -m tests.contract.racer URL NODE

Prints one JSON line per operation that it settled: message id, service, fence, and the database's order.
"""

from __future__ import annotations

import json
import sys

from domain.errors import LeaseLost
from domain.outcome import Outcome
from storage.sql import open_database
from tests.contract.sql_bench import FlippingSealer


def main(url: str, node: str) -> None:
    """Take turns with the others; stop when nothing is unfinished any more."""
    database = open_database(url, FlippingSealer())
    wake = database.wake()
    while True:
        claims = database.ledger.claim(node, node, 4, 60_000)
        for claim in claims:
            operation = claim.operation
            assert operation.node in (None, node)
            database.ledger.intend(claim, 0, "touch", {}, (), 60_000)
            try:
                database.ledger.settle(claim, Outcome.succeeded("done"))
            except LeaseLost:
                continue
            print(json.dumps([operation.message_id, operation.service_id, operation.fence]), flush=True)
        if not claims:
            if not sum(
                n for (_, state), n in database.counts()["operations"].items() if state in ("QUEUED", "RUNNING")
            ):
                break
            wake.wait(0.2)
    wake.close()
    database.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
