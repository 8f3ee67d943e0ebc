"""What a check of `backstay doctor` answers with.

Apart from the checks because there are three files of them.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds by which clocks may differ before somebody should care.
SKEW_SECONDS = 5.0
CLOCKS = "set the clocks by a time service (chrony, systemd-timesyncd): dates in logs, labels and signatures are wrong"


@dataclass(frozen=True, slots=True)
class Report:
    """One finding: ok, warn or fail. `about` names what it is about when a check looks at many."""

    name: str
    verdict: str
    detail: str
    next_step: str = ""
    about: str = ""
