"""`python -m workers`, and the console script `backstay`: the command line, and nothing before it is read."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; always ends in SystemExit with a code of `workers.cli.exits`."""
    try:
        from workers.cli.app import build

        build()(prog_name="backstay")
    except KeyboardInterrupt:  # before the command line could take care of it
        sys.exit(130)
    sys.exit(0)


if __name__ == "__main__":
    main()
