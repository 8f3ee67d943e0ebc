"""The spool as a folder that anybody may write into: what is no message harms nobody, what was taken comes back."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Queue

import handlers
from domain.contracts import Accepted, Rejected
from domain.errors import BrokerUnavailable, NotTaken
from tests.fakes.door import FakeDoor
from tests.waiting import eventually
from workers.border import EVENTS, Publisher, connect, inbox
from workers.clock import SystemClock
from workers.ingress import Ingress
from workers.judge import judge_with
from workers.transports import spool
from workers.transports.seat import Seat, vacate


def command(message_id: str) -> bytes:
    event = {
        "specversion": "1.0",
        "id": message_id,
        "source": "/test",
        "type": "backstay.create-snapshot.v1",
        "subject": "tenant/acme/service/web",
    }
    return json.dumps(event).encode()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"spool://{tmp_path}/spool"


@pytest.fixture
def queue(url: str) -> Path:
    """The maildir of the inbox, before any intake."""
    with connect(url) as connection:
        inbox(connection)(connection.channel()).declare()
    return Path(url.removeprefix("spool://")) / "backstay.inbox"


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor()


@pytest.fixture
def intake(url: str, queue: Path, door: FakeDoor) -> Iterator[Ingress]:
    """Not yet started, so that a test can fill the spool before."""
    judge = judge_with(handlers.subscriptions())
    made = Ingress(url, door, judge, on_accepted=lambda *_: None, backlog_limit=1000, clock=SystemClock())
    yield made
    made.stop(timeout=60)


def letters(door: FakeDoor) -> list[str]:
    return [item.raw.decode() for item in door.items() if isinstance(item, Rejected)]


def a_pipe(place: Path) -> None:
    os.mkfifo(place)


def a_link(place: Path) -> None:
    place.symlink_to("/etc/hostname")


def a_folder(place: Path) -> None:
    place.mkdir()


def a_huge_file(place: Path) -> None:
    place.touch()
    os.truncate(place, spool.LARGEST + 1)


@pytest.mark.parametrize("make", [a_pipe, a_link, a_folder, a_huge_file])
def test_what_is_no_message_is_put_aside_and_its_neighbours_are_accepted(
    make: Any, queue: Path, intake: Ingress, door: FakeDoor
) -> None:
    (queue / "new" / "1").write_bytes(command("before"))
    make(queue / "new" / "2")
    (queue / "new" / "3").write_bytes(command("after"))
    intake.start()
    eventually(lambda: len(door.items()) == 3, what="all three arrive")
    assert door.ids() == ["before", "after"]
    (letter,) = letters(door)
    assert str(queue / "aside" / "2") in letter, "the dead letter says where it is"
    assert (queue / "aside" / "2").lstat(), "nothing of it is lost"


def test_a_file_that_is_still_being_written_under_a_dotted_name_is_left_alone(
    queue: Path, intake: Ingress, door: FakeDoor
) -> None:
    (queue / "new" / ".1.part").write_bytes(b'{"specversion": "1.')
    (queue / "new" / "2").write_bytes(command("whole"))
    intake.start()
    eventually(lambda: door.ids() == ["whole"], what="the whole file is accepted")
    assert (queue / "new" / ".1.part").exists()
    assert not letters(door)


def test_header_lines_with_a_colon_in_their_prefix_are_read(queue: Path, intake: Ingress, door: FakeDoor) -> None:
    event = json.loads(command("binary"))
    lines = "".join(f"cloudEvents:{name}: {value}\n" for name, value in event.items())
    (queue / "new" / "1").write_text(f'{lines}\n{{"labels": ["owner:42"]}}')
    intake.start()
    eventually(lambda: door.ids() == ["binary"], what="the message is accepted")
    (item,) = door.items()
    assert isinstance(item, Accepted) and item.command.data == {"labels": ["owner:42"]}


def test_intake_goes_on_when_the_whole_spool_was_removed(
    url: str, queue: Path, intake: Ingress, door: FakeDoor
) -> None:
    intake.start()
    eventually(intake.connected, what="intake is connected")
    subprocess.run(["rm", "-rf", str(queue.parent)], check=True)
    publisher = Publisher(url)
    publisher.command(json.loads(command("later")))
    publisher.close()
    eventually(lambda: door.ids() == ["later"], what="the message is accepted")


def test_a_thousand_files_are_taken_in_the_order_of_their_names(queue: Path, intake: Ingress, door: FakeDoor) -> None:
    for number in range(1000):
        (queue / "new" / f"{number:04d}").write_bytes(command(f"m-{number}"))
    intake.start()
    eventually(lambda: len(door.ids()) == 1000, what="all are accepted")
    assert door.ids() == [f"m-{number}" for number in range(1000)]
    eventually(lambda: not [*queue.glob("cur/*/*")], what="all are acknowledged")


def test_a_listener_may_bind_one_queue_with_two_patterns(url: str) -> None:
    publisher = Publisher(url)
    with connect(url) as connection:
        channel = connection.channel()
        for pattern in ("create-snapshot.#", "*.failed.acme"):
            Queue("listener", EVENTS, routing_key=pattern)(channel).declare()
        for topic in ("create-snapshot.succeeded.acme", "restore-snapshot.failed.acme", "restore-snapshot.stuck.acme"):
            publisher.event({"id": topic}, topic)
        assert channel.queue_declare("listener", passive=True).message_count == 2
        channel.queue_delete("listener")
        publisher.event({"id": "nobody listens"}, "create-snapshot.failed.acme")
        assert channel._size("listener") == 0
    publisher.close()


# ---------------------------------------------------------------- what is half written
@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_full_disk_keeps_nothing_of_what_could_not_be_published(
    failing: str, url: str, queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each try has a name of its own: what stayed would take the room that others make."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    publisher = Publisher(url, seconds=0)
    with monkeypatch.context() as disk:
        disk.setattr(os, failing, full)
        for number in range(3):
            with pytest.raises(BrokerUnavailable, match="No space left") as away:
                publisher.command(json.loads(command(f"m-{number}")))
            assert not isinstance(away.value, NotTaken), "it is the broker, for every message"
    assert [*(queue / "tmp").iterdir()] == [*(queue / "new").iterdir()] == []
    publisher.command(json.loads(command("later")))
    publisher.close()
    assert len([*(queue / "new").iterdir()]) == 1


def test_what_a_dead_publisher_left_half_written_is_removed_after_a_time(
    url: str, queue: Path, intake: Ingress, door: FakeDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever takes messages, and by whoever publishes where nobody of ours does."""
    listener, left, folder = queue.parent / "listener" / "tmp", queue / "tmp" / "1", queue / "tmp" / "2"
    left.touch()
    os.utime(left, (0, 0))  # as a copy that keeps the time of its original
    folder.mkdir()
    (queue / "new" / "1").write_bytes(command("first"))
    intake.start()
    eventually(lambda: door.ids() == ["first"], what="it was taken")
    assert left.exists(), "it may still be written"
    intake.stop(timeout=60)
    monkeypatch.setattr(spool, "LEFT_SECONDS", -60.0)
    with connect(url) as connection:
        channel = connection.channel()
        Queue("listener", EVENTS, routing_key="#")(channel).declare()
        (listener / "3").touch()
        with pytest.raises(Empty):
            channel._get("backstay.inbox")
    assert not left.exists() and folder.exists()
    publisher = Publisher(url)
    publisher.event({"id": "e-1"}, "create-snapshot.succeeded.acme")
    publisher.close()
    assert [*listener.iterdir()] == []
    assert len([*(listener.parent / "new").iterdir()]) == 1


# ---------------------------------------------------------------- seats
HOLDER = """
import sys, time
from pathlib import Path
from workers.transports.seat import Seat
seat = Seat(Path(sys.argv[1]))
(seat.folder / "message").touch()
print("seated", flush=True)
time.sleep(600)
"""


def test_what_a_living_process_holds_is_not_touched_and_what_a_killed_one_held_comes_back(tmp_path: Path) -> None:
    """Whatever its process id is called here: the processes may live in different containers."""
    new, place = tmp_path / "new", tmp_path / "seat"
    new.mkdir()
    root = Path(__file__).parents[2]
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(place)], stdout=subprocess.PIPE, cwd=root)
    assert holder.stdout is not None and holder.stdout.readline() == b"seated\n"
    vacate(place, new)
    assert (place / "message").exists()
    holder.kill()
    holder.wait()
    holder.stdout.close()
    vacate(place, new)
    assert [file.name for file in new.iterdir()] == ["message"]
    assert not place.exists()


def test_a_seat_that_was_removed_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, real = tmp_path / "seat", fcntl.flock
    removed: list[bool] = []

    def flock(handle: int, how: int) -> None:
        if not removed:
            removed.append(True)
            place.rmdir()  # as another process does that found it unlocked
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    taken = Seat(place)
    assert removed and place.is_dir()
    taken.leave(tmp_path)


def test_what_a_failing_disk_keeps_from_going_back_is_free_for_whoever_looks_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, place = tmp_path / "new", tmp_path / "seat"
    new.mkdir()
    taken = Seat(place)
    (place / "message").touch()

    def failing(source: Path, target: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "rename", failing)
        with pytest.raises(OSError, match="Input/output error"):
            taken.leave(new)
    vacate(place, new)
    assert [file.name for file in new.iterdir()] == ["message"]


@pytest.mark.parametrize("size_then", [0, 3, 10, 11, 20])
def test_a_file_is_read_to_its_end_whatever_size_it_had_when_it_was_asked(tmp_path: Path, size_then: int) -> None:
    """A program may go on writing into what it has already renamed."""
    (tmp_path / "message").write_bytes(b"0123456789")
    with (tmp_path / "message").open("rb") as file:
        assert spool._whole(file.fileno(), size_then) == b"0123456789"


def test_no_more_of_a_file_is_read_than_the_largest_message_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "LARGEST", 8)
    (tmp_path / "message").write_bytes(b"0123456789")
    for size_then in (3, 8):
        with (tmp_path / "message").open("rb") as file:
            assert spool._whole(file.fileno(), size_then) == b"01234567"


def test_a_message_is_read_by_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call of the system lets other threads go first, of which each may compute for milliseconds."""
    (tmp_path / "message").write_bytes(b"0123456789")
    read, asked = os.read, list[int]()

    def counted(handle: int, size: int) -> bytes:
        asked.append(size)
        return read(handle, size)

    monkeypatch.setattr(os, "read", counted)
    assert spool._bytes_of(f"{tmp_path}/message") == b"0123456789"
    assert asked == [11]
