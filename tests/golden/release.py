"""The wheel of a release, byte for byte the same whenever it is built: `make release-golden`.

The suite runs the release before the present one from such a wheel, because a checkout need not have any history. When
a release has gone out, this is run on its commit, and the wheel of the one before it is removed.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
#: Builds with the setuptools of this environment, so it needs no index and no isolation.
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
PARTS = ("domain", "handlers", "storage", "workers", "pyproject.toml", "README.md", "LICENSE")


def build(source: Path, out: Path, epoch: int) -> Path:
    """The wheel of what is in `source`, in `out`; every file in it is of the time `epoch`."""
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(out)],
        cwd=source,
        env=environ,
        umask=0o022,  # modes are in the wheel
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the wheel cannot be built: {done.stdout}{done.stderr}")
    (built,) = out.glob("*.whl")
    return built


def main(commit: str) -> int:
    """Build the wheel of that commit and put it beside this file."""
    epoch = int(_git("log", "-1", "--format=%ct", commit))
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "source"), Path(folder, "out")
        with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, *PARTS))) as archive:
            archive.extractall(source, filter="data")
        out.mkdir()
        built = build(source, out, epoch)
        (FOLDER / built.name).write_bytes(built.read_bytes())
    print(FOLDER / built.name)
    return 0


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=FOLDER.parents[1], capture_output=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "HEAD"))
