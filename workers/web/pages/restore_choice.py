"""What somebody chose to restore, as fields of a form, as an address, as a command, and back from a dry run of it.

Apart from restoring.py because a page of an operation needs it as well: what a dry run has looked at is what may be
restored after it, and nothing wider. A dry run that the wizard could not have asked for is none of its choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain.operation import Operation
from domain.restore import RestoreMode


class Choice:
    """What was chosen so far, from an address or a form."""

    def __init__(
        self, service: str, mode: str, include: Sequence[str], paths: str, verify: bool = False, clone: bool = False
    ) -> None:
        self.service = service
        self.mode = mode if mode in {one.value for one in RestoreMode} else RestoreMode.REPLACE.value
        self.include = [name for name in ("data", "configuration", "sources") if name in include]
        self.paths = [line.strip() for line in paths.splitlines() if line.strip()]
        self.verify, self.clone = verify, clone

    @property
    def parts(self) -> list[str]:
        """What is really restored: some paths, and a clone, are of the directory only."""
        return ["data"] if self.paths or self.clone else self.include

    def data(self, snapshot_id: str) -> dict[str, Any]:
        """The payload of the command."""
        found: dict[str, Any] = {"snapshot_id": snapshot_id, "mode": self.mode}
        if self.parts:
            found["include"] = self.parts
        if self.paths:
            found["paths"] = self.paths
        if self.verify:
            found["verify"] = True
        if self.clone:
            found["profile"] = "clone"
        return found

    def pairs(self) -> list[tuple[str, str]]:
        """As fields of an address or a form."""
        found = [("service", self.service), ("mode", self.mode), *(("include", one) for one in self.include)]
        found += [("paths", "\n".join(self.paths))] if self.paths else []
        return found + [(name, "true") for name, on in (("verify", self.verify), ("clone", self.clone)) if on]


def looked_at(operation: Operation, snapshot_id: str, held: Sequence[str] = ()) -> Choice | None:
    """The choice that a dry run was of; None when it is no dry run of that snapshot, or of something that the wizard
    cannot ask for, such as a copy elsewhere. `held`: the parts of the snapshot, which are meant when none is named."""
    data = operation.data
    if operation.kind != "restore-snapshot" or not data.get("dry_run") or data.get("snapshot_id") != snapshot_id:
        return None
    paths, include = list(data.get("paths") or ()), list(data.get("include") or held)
    mode, clone = str(data.get("mode") or ""), data.get("profile") == "clone"
    found = Choice(operation.service_id, mode, include, "\n".join(paths), bool(data.get("verify")), clone)
    of_the_directory = not found.parts or "data" in found.parts
    return found if found.paths == paths and of_the_directory and not data.get("target") else None
