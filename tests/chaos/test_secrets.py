"""A sample of the search for secrets: the scanner finds what is planted, and the embedded node tells nothing.

What does not answer is found, too: a search that nothing answers would find nothing either. The whole of it is in
`make prove`, and `python -m tests.prove.secrets` on every stack.
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import zstandard

from tests.prove.answers import Answer, Answers
from tests.prove.bench import SECRET as MARK
from tests.prove.questions import ACTS, BY_NAME, UNSAID, ask_commands, commands
from tests.prove.scanner import Scanner, files
from tests.prove.secrets import CONFIGURED, searched
from tests.servers.ports import free_ports

SECRET = 'Sesame/"Öffne+dich"~4711'
WAYS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: data,
    "base64": base64.b64encode,
    "base64, one byte later": lambda data: base64.b64encode(b"x" + data + b"yy"),
    "base64, two bytes later": lambda data: base64.b64encode(b"xy" + data + b"z"),
    "base64 for addresses": base64.urlsafe_b64encode,
    "quoted for an address": lambda data: quote(data, safe="").encode(),
    "inside JSON": lambda data: json.dumps({"a": data.decode()}).encode(),
    "hexadecimal": lambda data: data.hex().encode(),
    "UTF-16": lambda data: data.decode().encode("utf-16-le"),
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "zstd": zstandard.compress,
    "gzip in zstd in gzip": lambda data: gzip.compress(zstandard.compress(gzip.compress(data))),
    "base64 in gzip": lambda data: gzip.compress(base64.b64encode(b"x" + data)),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_scanner_finds_a_planted_secret_however_it_was_written(tmp_path: Path, way: str) -> None:
    """I18: else that nothing was found would say nothing."""
    scanner = Scanner({"env": SECRET, "other": "another-secret-of-ours"})
    (tmp_path / "object").write_bytes(b"before\0" + WAYS[way](SECRET.encode()) + b"\0after")
    (tmp_path / "clean").write_bytes(b"before\0" + WAYS[way](b"nothing of the kind is in here") + b"\0after")
    assert scanner.places(files(tmp_path)) == ["env in file object"]


def test_an_embedded_node_that_logs_all_it_can_tells_no_secret_but_the_planted_one(tmp_path: Path) -> None:
    """I18: an upgrade, refused messages, commands over HTTP and every route, each of which answers as it must; the
    command line and the other stacks are in `make prove`."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "planted").write_bytes(gzip.compress(MARK.encode()))
    places, found = searched("embedded", tmp_path, ["upgrade"], whole=False)
    assert found == ["variable in file planted"]
    assert places > 250


#: Backstay, but that a page is refused, a list breaks off, and who gives a command is told its data.
BROKEN = """
from starlette.responses import Response
from workers.__main__ import main
from workers.web import hardening
from workers.web.api import commands

answered, told, whole = {"/audit": 403, "/api/v1/drills": 500}, commands.document, hardening.Hardened.__call__

async def called(self, scope, receive, send):
    status = answered.get(scope.get("path"))
    await (whole(self, scope, receive, send) if status is None else Response("", status)(scope, receive, send))

hardening.Hardened.__call__ = called
commands.document = lambda here, operation: told(here, operation) | {"data": operation.data}
main()
"""


def test_a_route_that_does_not_answer_and_a_secret_in_the_answer_of_a_command_are_found(tmp_path: Path) -> None:
    """I18: else a node that refuses everything would be as clean as one that tells nothing."""
    places, found = searched("embedded", tmp_path, ["register"], whole=False, program=(sys.executable, "-c", BROKEN))
    given = ("register-service of acme's http-secret", "publish-version of acme's http-secret",
             "register-service of acme's others")  # fmt: skip
    assert sorted(found) == sorted(
        ["GET /audit answered 403 instead of 200", "GET /api/v1/drills answered 500 instead of 200"]
        + [f"{secret} in POST {command} through the API" for command in given for secret in CONFIGURED]
    )
    assert places > 200


def test_a_node_that_is_not_there_has_not_answered() -> None:
    """I18."""
    (port,) = free_ports(1)
    answers = Answers(port, "token", {})
    answers.must("GET /audit", answers.ask("GET", "/audit"), 200)
    (wrong,) = answers.wrong
    assert wrong.startswith("GET /audit answered nothing (ConnectionRefusedError: ")
    assert (answers.unanswered, len(answers.told)) == (1, 1)


def test_what_is_there_to_show_a_secret_shows_that_one_and_no_other() -> None:
    """I18: it is exempt from the search for its own secret only."""
    answers, scanner = Answers(0, "token", {}), Scanner({"its own": "canary-of-its-own", "other": "canary-of-others"})
    answers.must("right", Answer(200, (), "canary-of-its-own"), 200, shows=("its own",))
    answers.must("too much", Answer(200, (), "canary-of-its-own, canary-of-others"), 200, shows=("its own",))
    answers.must("nothing", Answer(200, (), ""), 200, shows=("its own",))
    assert answers.shown_wrongly(scanner) == [
        "too much shows ['its own', 'other'] instead of ['its own']", "nothing shows [] instead of ['its own']"
    ]  # fmt: skip


def test_a_command_that_ends_with_an_error_has_not_answered() -> None:
    """I18: of all that only look one fails, and those fail that must tell what is missing, and do not."""
    answers = Answers(0, "token", {}, ("sh", "-c", 'case "$0 $1" in "audit list") exit 1;; esac'))
    names = dict.fromkeys(("operation_id", "dead_letter_id", "snapshot_id", "service_id", "tenant_id"), "x")
    ask_commands(answers, names | dict.fromkeys(("name", "node", "version"), "x"))
    failed = [f"backstay {command} ended with 0 instead of {code}" for command, (code, _) in UNSAID.items()]
    assert sorted(answers.wrong) == sorted([*failed, "backstay audit list ended with 1 instead of 0"])
    assert answers.unanswered == len(UNSAID) + 1


def test_every_command_of_the_command_line_is_asked_or_is_said_to_act() -> None:
    """I18: a new one that has to be told something, and is not, fails here."""
    known = commands()
    assert known.keys() >= ACTS | BY_NAME.keys() | UNSAID.keys()
    assert not ACTS & (BY_NAME.keys() | UNSAID.keys())
    assert {command for command, named in known.items() if named} <= ACTS | BY_NAME.keys()
