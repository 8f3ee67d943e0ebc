"""Free loopback ports.

Apart from the servers because each of them needs several at once. They are taken from below the range in which
Linux numbers outgoing connections, so that a server which was killed finds its port free when it comes back.
"""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
FIRST, LAST = 20_000, 32_000


def free_ports(count: int) -> list[int]:
    """`count` different ports nobody listens on now. A random start keeps two test runs out of each other's way."""
    start = random.randrange(FIRST, LAST)
    candidates = (FIRST + (start - FIRST + step) % (LAST - FIRST) for step in range(LAST - FIRST))
    found = [port for port, _ in zip(filter(_is_free, candidates), range(count), strict=False)]
    if len(found) < count:
        raise OSError(f"no {count} free ports on {LOOPBACK} between {FIRST} and {LAST}; stop what listens there")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a connection of a killed predecessor that lingers in TIME_WAIT is no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
