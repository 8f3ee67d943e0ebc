"""`make audit`: known vulnerabilities of every library of the locks, by pip-audit; exit code 1 when there is one.

Apart from pip-audit because its own exit code lies in two ways: it is 0 when the service knows none of the libraries,
and the same 1 for a vulnerability and for a service that cannot be reached. Here the first is said, and is no success
that anybody could take for one; and nothing that a network does is a red run.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock", "requirements-audit.lock",
         "requirements-fuzz.lock")  # fmt: skip
#: Vulnerabilities that do not reach us: id -> why. Each is looked at again when its library is updated.
ACCEPTED: dict[str, str] = {}
#: Where it is asked: PyPI's own service, and OSV when that one does not answer.
SERVICES = ("pypi", "osv")
SECONDS = 600


@dataclass(slots=True)
class Found:
    """What one service has said."""

    looked_up: set[str] = field(default_factory=set)
    unknown: dict[str, str] = field(default_factory=dict)  # library -> why it could not be looked up
    vulnerable: dict[str, str] = field(default_factory=dict)  # id -> where, and which version has it mended


def ask(tool: Sequence[str], service: str, lock: Path) -> Found:
    """Ask about every library of a lock; what cannot be asked is in `unknown`."""
    command = [*tool, "--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json",
               f"--vulnerability-service={service}", f"--requirement={lock}"]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        document = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Found(unknown={lock.name: f"{type(error).__name__} of {tool[0]}"})
    except ValueError:
        said = done.stderr.strip().splitlines() or ["nothing was said"]
        return Found(unknown={lock.name: said[-1][:300]})
    return _read(document)


def _read(document: dict[str, Any]) -> Found:
    found = Found()
    for library in document["dependencies"]:
        if "skip_reason" in library:
            found.unknown[library["name"]] = library["skip_reason"]
            continue
        found.looked_up.add(library["name"])
        for one in library["vulns"]:
            mended = ", ".join(one.get("fix_versions", ())) or "no version yet"
            found.vulnerable[one["id"]] = f"{library['name']} {library['version']}, mended in {mended}"
    return found


def answers(tool: Sequence[str], service: str, lock: Path) -> str:
    """Why that service is of no use here, by asking about one library; empty when it answers."""
    first = re.split(r"(?<!\\)\n", lock.read_text(), maxsplit=1)[0]  # up to the end of a line that does not go on
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder, "one.lock")
        one.write_text(f"{first}\n")
        found = ask(tool, service, one)
    return next(iter(found.unknown.values()), "")


def audit(tool: Sequence[str], locks: Sequence[Path]) -> tuple[int, list[str]]:
    """Exit code and sentences."""
    why = []
    for service in SERVICES:
        if reason := answers(tool, service, locks[0]):
            why.append(f"{service}: {reason}")
            continue
        founds = [ask(tool, service, lock) for lock in locks]
        vulnerable = {name: where for found in founds for name, where in found.vulnerable.items()}
        unknown = {name: reason for found in founds for name, reason in found.unknown.items()}
        looked_up = set().union(*(found.looked_up for found in founds))
        lines = [f"VULNERABLE {name}: {where}" for name, where in vulnerable.items() if name not in ACCEPTED]
        told = [f"accepted {name}: {why}" for name, why in ACCEPTED.items() if name in vulnerable]
        told += [f"NOT AUDITED {name}: {reason}" for name, reason in unknown.items()]
        told.append(f"{len(looked_up)} libraries were looked up at {service}, {len(lines)} vulnerabilities count")
        return (1 if lines else 0), [*lines, *told]
    return 0, ["NOT AUDITED: no service that knows vulnerabilities can be reached from here", *why]


def main() -> int:
    code, lines = audit(sys.argv[1:], [ROOT / name for name in LOCKS])
    print(*lines, sep="\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
