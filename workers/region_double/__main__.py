"""`python -m workers.region_double`: the double as a process of its own, which prints its address."""

from __future__ import annotations

import argparse
import sys

from workers.region_double.server import RegionServer
from workers.region_double.state import RegionState


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="region_double", description="A double of Rainbond's region.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fenced", action="store_true")
    parser.add_argument("--generation", choices=("A", "M"), default="A")
    parser.add_argument("--latency-ms", type=int, default=0)
    parser.add_argument("--state", default="", metavar="FILE")
    given = parser.parse_args()
    state = RegionState(given.generation, fenced=given.fenced)
    server = RegionServer(("127.0.0.1", given.port), state, state_file=given.state, latency_ms=given.latency_ms)
    sys.stdout.write(server.url + "\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
