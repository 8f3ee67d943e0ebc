"""Running the node's health hook: a program that the operator has configured, never one from a message.

Apart from the gate, which decides, because this starts a process: without a shell, with a time limit, and
with nothing in its environment but where it may look.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

from domain.health import HookResult

#: Seconds that one run may take; shorter than a lease with everything around it.
LONGEST_RUN = 20.0
#: Characters of the output that are kept.
MOST_OUTPUT = 2000


def hook_runner(program: str | None) -> Callable[[str], HookResult]:
    """A function that asks `program SERVICE_ID`; exit code 0 means that the service is well."""

    def run(service_id: str) -> HookResult:
        if program is None:
            return HookResult(False, "this node has no health hook: set BACKSTAY_HEALTH_HOOK")
        try:
            process = subprocess.Popen(
                [program, service_id],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={"PATH": os.defpath, "BACKSTAY_SERVICE": service_id},
                start_new_session=True,
            )
        except OSError as error:
            return HookResult(False, f"the hook could not be started: {error.strerror}")
        try:
            output, _ = process.communicate(timeout=LONGEST_RUN)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return HookResult(False, f"no answer within {LONGEST_RUN:.0f} s; {_tail(output)}")
        return HookResult(process.returncode == 0, _tail(output))

    return run


def _tail(output: bytes) -> str:
    return output.decode("utf-8", "replace")[-MOST_OUTPUT:]
