"""`make bench`: every measurement, one after the other, each with its peers in the same run.

Takes about an hour. Needs the servers that the tests use; restic, borg, tar and zstd take part
when they are installed. `python -m bench.commands`, `python -m bench.archive`,
`python -m bench.catalogue` and `python -m bench.upgrade` run one alone.
"""

from __future__ import annotations

import subprocess
import sys


def main() -> int:
    """Run them; the first failure's exit code."""
    for command in (["bench.commands"], ["bench.archive", "--borg14"], ["bench.catalogue"], ["bench.upgrade"]):
        print(f"\n## {' '.join(command)}\n", flush=True)
        if code := subprocess.run([sys.executable, "-m", *command], check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
