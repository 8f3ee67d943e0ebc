"""`make bench`: every measurement, one after the other, each with its peers in the same run.

Takes about two hours. Needs the servers that the tests use; restic, borg, tar and zstd take part
when they are installed. `python -m bench.commands`, `python -m bench.archive`,
`python -m bench.catalogue`, `python -m bench.upgrade`, `python -m bench.overload` and `python -m bench.recovery`
run one alone.
"""

from __future__ import annotations

import subprocess
import sys

COMMANDS = (
    ["bench.commands"],
    ["bench.archive", "--borg14"],
    ["bench.catalogue"],
    ["bench.upgrade"],
    ["bench.overload"],
    ["bench.recovery"],
)


def main() -> int:
    """Run them; the first failure's exit code."""
    for command in COMMANDS:
        print(f"\n## {' '.join(command)}\n", flush=True)
        if code := subprocess.run([sys.executable, "-m", *command], check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
