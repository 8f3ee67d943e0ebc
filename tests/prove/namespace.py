"""A network namespace with one wire to ours, which can be cut: packets are dropped, or refused at once.

Needs root, ip and iptables.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack

_numbers = itertools.count()
#: Ways in which a network fails: it says nothing, or it says no.
CUTS = ("drop", "reject")


def missing() -> str:
    """What this machine lacks; empty when it lacks nothing."""
    if os.geteuid() != 0:
        return "only root can make network namespaces"
    lacks = [name for name in ("ip", "iptables") if shutil.which(name) is None]
    return f"not installed: {', '.join(lacks)}" if lacks else ""


class Namespace:
    """Another host, as far as the network can tell: it reaches `ports` of our loopback at the address `here`."""

    def __init__(self, ports: list[int], closing: ExitStack) -> None:
        number = next(_numbers)
        self.name = f"bs{os.getpid()}-{number}"
        net = f"10.213.{(os.getpid() + 17 * number) % 250}"
        self.here, ours, theirs = f"{net}.1", f"v{os.getpid()}-{number}a"[-15:], f"v{os.getpid()}-{number}b"[-15:]
        _run("ip", "netns", "add", self.name)
        closing.callback(_run, "ip", "netns", "del", self.name)
        _run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", self.name)
        _run("ip", "addr", "add", f"{self.here}/24", "dev", ours)
        _run("ip", "link", "set", ours, "up")
        self._inside("ip", "addr", "add", f"{net}.2/24", "dev", theirs)
        for device in (theirs, "lo"):
            self._inside("ip", "link", "set", device, "up")
        command = [sys.executable, "-m", "tests.prove.ferry", self.here, *map(str, ports)]
        ferry = closing.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
        closing.callback(ferry.kill)
        assert ferry.stdout is not None
        ferry.stdout.readline()

    @property
    def prefix(self) -> list[str]:
        """What a command line begins with that runs inside."""
        return ["ip", "netns", "exec", self.name]

    def cut(self, how: str) -> None:
        """From now on nothing passes."""
        no = ["REJECT", "--reject-with", "tcp-reset"] if how == "reject" else ["DROP"]
        for chain, way in (("OUTPUT", "-o"), ("INPUT", "-i")):
            self._inside("iptables", "-A", chain, "!", way, "lo", "-p", "tcp", "-j", *no)

    def heal(self) -> None:
        """Everything passes again."""
        self._inside("iptables", "-F")

    def _inside(self, *command: str) -> None:
        _run(*self.prefix, *command)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
