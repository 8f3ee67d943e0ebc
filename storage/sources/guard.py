"""Stands beside one hook, in a process of its own, and holds the lock of its service until the hook has ended.

Apart from the worker because a hook outlives it, and apart from the hook because that may close what it inherits (sudo
does) or leave a service behind that would keep the lock for ever. It is run by its path, by an interpreter that finds
only the standard library. Its exit code is the hook's; 128 and the signal's number when a signal has ended that.
"""

from __future__ import annotations

import os
import signal
import sys

#: What shells say of a program that cannot be started.
NOT_STARTED = 127
#: Python ignores them, which a program would inherit.
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)


def guarded(words: list[str], environment: dict[str, str], lock: int, seconds: float) -> list[str]:
    """The words that start a guard, which inherits the open file `lock` and leads a process group. After so many
    seconds it kills that group: then nobody else was there to do it."""
    given = [f"{name}={value}" for name, value in environment.items()]
    return [sys.executable, "-I", "-S", __file__, str(lock), str(seconds), str(len(given)), *given, *words]


def main(arguments: list[str]) -> int:
    """Run the hook; the exit code."""
    lock, seconds, count = int(arguments[0]), float(arguments[1]), int(arguments[2])
    given, words = arguments[3 : 3 + count], arguments[3 + count :]
    os.set_inheritable(lock, False)
    signal.signal(signal.SIGALRM, lambda _number, _frame: os.killpg(0, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    # Not the environment of this process: Python has added to it.
    environment = dict(pair.split("=", 1) for pair in given)
    try:
        process = os.posix_spawnp(words[0], words, environment, setsigdef=_IGNORED)
    except OSError as error:
        sys.stderr.write(f"{words[0]} could not be started: {error.strerror}\n")
        return NOT_STARTED
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
