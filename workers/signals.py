"""SIGTERM and SIGINT as events: the first asks a process to finish, the second to hurry.

Apart from those who wait for them because a handler interrupts them anywhere, also inside of the event's own lock,
where setting the event would wait for ever: a handler may only do what can be entered twice.
"""

from __future__ import annotations

import signal
import threading
from queue import SimpleQueue


def stop_requests() -> tuple[threading.Event, threading.Event]:
    """Events for the first and for the second request to stop; called in the main thread."""
    told, hurry = threading.Event(), threading.Event()
    caught: SimpleQueue[int] = SimpleQueue()

    def tell() -> None:
        while True:
            caught.get()
            (hurry if told.is_set() else told).set()

    threading.Thread(target=tell, name="signals", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught_number, _frame: caught.put(caught_number))
    return told, hurry
