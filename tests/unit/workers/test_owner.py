"""A lease holder is only called dead when this host can be certain of it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

from workers.owner import Owner


def _of(pid: int) -> Owner:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return dataclasses.replace(Owner.of_this_process("web-1"), pid=pid, started=stat[19])


def test_this_process_is_alive() -> None:
    me = Owner.of_this_process("web-1")
    assert not me.is_dead(str(me))


def test_a_process_that_was_killed_is_dead() -> None:
    me = Owner.of_this_process("web-1")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        other = _of(child.pid)
        assert not me.is_dead(str(other))
        child.kill()
    assert me.is_dead(str(other))


def test_a_pid_that_was_given_to_another_process_does_not_keep_the_lease() -> None:
    me = Owner.of_this_process("web-1")
    assert me.is_dead(str(dataclasses.replace(me, pid=os.getppid(), started="1")))


def test_an_earlier_boot_of_this_host_is_dead() -> None:
    me = Owner.of_this_process("web-1")
    assert me.is_dead(str(dataclasses.replace(me, boot_id="before")))


def test_another_host_or_another_container_is_left_to_its_lease() -> None:
    me = Owner.of_this_process("web-1")
    assert not me.is_dead(str(dataclasses.replace(me, node="web-2", pid=1, started="0")))
    assert not me.is_dead(str(dataclasses.replace(me, namespace="pid:[1]", pid=999_999)))
    assert not me.is_dead("something else entirely")
