"""A consumer process to be killed: takes messages from a border and never acknowledges them.

Run as `python -m tests.contract.consumer URL COUNT`; prints one line when COUNT messages are in hand.
"""

from __future__ import annotations

import sys
import time

from kombu import Consumer

from workers.border import connect, inbox


def main(url: str, count: int) -> None:
    taken: list[object] = []
    with connect(url) as connection:
        channel = connection.channel()
        queue = inbox(connection)(channel)
        queue.declare()
        with Consumer(channel, [queue], on_message=taken.append, auto_declare=False):
            while len(taken) < count:
                connection.drain_events(timeout=60)
            print("taken", flush=True)
            time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
