"""The program as an operator meets it: `backstay serve` on an empty directory, and commands beside it."""

from __future__ import annotations

import http.client
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.command_line import ROOT, Answer, answer_of, finished, program
from tests.waiting import eventually

SECRET = "correct-horse-battery"
HEAVY = ("sqlalchemy", "boto3", "botocore", "kombu", "dramatiq", "alembic", "pydantic", "numpy", "starlette", "uvicorn")


class Node:
    """One process that runs on, by default `backstay serve`, and the commands of an operator on its data directory."""

    def __init__(self, home: Path, command: Sequence[str] = ("serve", "--http", "127.0.0.1:0")) -> None:
        self.home, self.log = home, home / "serve.log"
        self.environment = {"BACKSTAY_DATA_DIR": str(home), "BACKSTAY_NODE": "n1"}
        self.screens = ""
        with open(self.log, "a") as log:
            self.process = program(command, self.environment, stderr=log)

    def run(self, *arguments: str) -> Answer:
        """One command, as a program; what it shows is kept, to look for secrets in."""
        return self._kept(finished(program(arguments, self.environment)))

    def ask(self, *arguments: str) -> Answer:
        """One command in this process, where it matters only what it says."""
        return self._kept(answer_of(arguments, self.environment))

    def _kept(self, answer: Answer) -> Answer:
        self.screens += answer.out + answer.err
        return answer

    def address(self) -> str:
        """Where health and metrics are, from the log."""

        def found() -> str:
            for line in self.log.read_text().splitlines():
                record = json.loads(line)
                if record["event"] == "http.listening":
                    return str(record["address"])
            return ""

        return eventually(found, 60, "the node listens")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    home = tmp_path_factory.mktemp("node")
    (home / "apps" / "web").mkdir(parents=True)
    (home / "apps" / "web" / "index.html").write_text("hello")
    made = Node(home)
    made.address()
    (home / "web.toml").write_text(
        'tenant = "acme"\nservice = "web"\ndirectory = "web"\n'
        f'[[configuration.envs]]\nname = "DB_PASSWORD"\nvalue = "{SECRET}"\nsecret = true\n'
    )
    registered = made.run("services", "apply", str(home / "web.toml"), "--json")
    assert registered.code == 0, registered
    yield made
    made.process.kill()
    made.process.communicate()


def test_a_snapshot_is_made_found_by_label_and_restored(node: Node) -> None:
    page = node.home / "apps" / "web" / "index.html"
    made = node.run("snapshots", "create", "--service", "web", "--label", "owner:42", "--json")
    assert made.code == 0, made
    snapshot_id = made.document()["figures"]["snapshot_id"]
    (listed,) = node.run("snapshots", "list", "--label", "owner:42", "--json").document()["snapshots"]
    assert (listed["snapshot_id"], listed["service_id"], listed["files"]) == (snapshot_id, "web", 1)
    page.write_text("spoilt")
    restored = node.run("snapshots", "restore", snapshot_id, "--json")
    assert (restored.code, restored.document()["outcome"]) == (0, "succeeded")
    assert page.read_text() == "hello"
    copied = node.run("snapshots", "restore", snapshot_id, "--target-directory", "copy")
    assert copied.code == 0, copied
    assert (node.home / "apps" / "copy" / "index.html").read_text() == "hello"
    refused = node.run("snapshots", "restore", snapshot_id, "--mode", "refuse-non-empty")
    assert refused.code == 1
    assert node.run("snapshots", "delete", snapshot_id).code == 0
    assert node.run("snapshots", "show", snapshot_id).code == 10


@pytest.mark.parametrize(
    ("subject", "kind", "data", "code", "reason"),
    [
        ("tenant/acme/service/nobody", "create-snapshot", {}, 10, "unknown-service"),
        ("tenant/other/service/web", "create-snapshot", {}, 12, "wrong-tenant"),
        (
            "tenant/acme/service/web",
            "restore-snapshot",
            {"snapshot_id": "0192f0c1-0000-7000-8000-000000000000"},
            10,
            "snapshot-not-found",
        ),
    ],
)
def test_with_wait_the_outcome_is_the_exit_code(
    node: Node, subject: str, kind: str, data: dict[str, str], code: int, reason: str
) -> None:
    answer = node.run("publish", kind, "--subject", subject, "--data", json.dumps(data), "--wait", "--json")
    document = answer.document()
    assert (answer.code, document["state"], document["error_code"]) == (code, "FAILED", reason)
    shown = node.ask("operations", "watch", document["operation_id"])
    assert shown.code == code
    assert shown.out.startswith(f"failed: {document['sentence']}\n")


def test_the_same_message_again_is_answered_with_the_first_operation(node: Node) -> None:
    command = ["publish", "create-snapshot", "--subject", "tenant/acme/service/web", "--id", "again", "--source", "/s"]
    first = node.ask(*command, "--wait", "--json").document()
    second = node.ask(*command, "--wait", "--json").document()
    assert first["operation_id"] == second["operation_id"]
    reused = node.ask(*command, "--data", '{"labels": ["a:b"]}', "--wait", "--json")
    assert (reused.code, reused.document()["error"]["code"]) == (1, "key-reused")


def test_health_and_metrics_tell_of_the_work(node: Node) -> None:
    connection = http.client.HTTPConnection(node.address(), timeout=60)
    for path in ("/livez", "/readyz"):
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200, (path, answer.read())
        assert json.loads(answer.read())["ok"] is True
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    assert 'backstay_operations_ended_total{how="succeeded",kind="register-service"} 1.0' in text
    assert SECRET not in text
    connection.close()


def test_doctor_finds_the_running_node_well(node: Node) -> None:
    answer = node.run("doctor", "--json")
    checks = {check["name"]: check for check in answer.document()["checks"]}
    assert answer.code == 0, answer.out
    assert checks["nodes"]["verdict"] == "ok"


def test_every_answer_in_json_is_one_document(node: Node) -> None:
    for command in (
        ["operations", "list"],
        ["snapshots", "list"],
        ["services", "list"],
        ["services", "show", "web"],
        ["dead-letters", "list"],
        ["messages"],
        ["config", "show"],
        ["services", "show", "nobody"],
    ):
        answer = node.ask(*command, "--json")
        assert isinstance(json.loads(answer.out), dict), command


def test_piped_output_is_plain(node: Node) -> None:
    for command in (["operations", "list"], ["--help"], ["doctor"], ["operations", "list", "--nonsense"]):
        answer = node.run(*command)
        assert "\x1b" not in answer.out + answer.err, command


@pytest.mark.parametrize(("extra", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_for_terminals_and_no_color_is_honoured(node: Node, extra: dict[str, str], coloured: bool) -> None:
    outside, inside = pty.openpty()
    environment = node.environment | {"TERM": "xterm-256color"} | extra
    process = program(["doctor"], environment, stdout=inside, stderr=inside)
    os.close(inside)
    shown = b""
    while chunk := _read(outside):
        shown += chunk
    process.wait(60)
    os.close(outside)
    assert b"configuration" in shown
    assert (b"\x1b[3" in shown) is coloured, shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""  # how Linux says that nobody holds the other end any more


def test_no_secret_is_on_a_screen_or_in_the_log(node: Node) -> None:
    for command in (["operations", "list"], ["services", "show", "web"], ["config", "show"], ["dead-letters", "list"]):
        node.ask(*command)
    assert "succeeded" in node.screens + node.log.read_text()
    assert SECRET not in node.screens
    assert SECRET not in node.log.read_text()
    for path in node.home.rglob("*"):
        if path.is_file() and path.name != "web.toml":
            assert SECRET.encode() not in path.read_bytes(), path


def test_sigterm_ends_a_node_with_code_0(tmp_path: Path) -> None:
    other = Node(tmp_path)
    other.address()
    other.process.send_signal(signal.SIGTERM)
    assert finished(other.process).code == 0
    assert '"event": "node.stopped"' in other.log.read_text()


@pytest.mark.parametrize("command", [["web"], ["worker", "--threads", "1"]])
def test_the_parts_run_as_processes_of_their_own(command: list[str], tmp_path: Path) -> None:
    environment = {"BACKSTAY_DATA_DIR": str(tmp_path)}
    assert finished(program(["migrate"], environment)).code == 0
    part = Node(tmp_path, [*command, "--http", "127.0.0.1:0"])
    host, _, port = part.address().rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.request("GET", "/readyz")
    assert connection.getresponse().status == 200
    connection.close()
    part.process.send_signal(signal.SIGTERM)
    assert finished(part.process).code == 0


def test_several_processes_cannot_share_an_address(tmp_path: Path) -> None:
    arguments = ["worker", "--processes", "2", "--http", "127.0.0.1:0"]
    answer = finished(program(arguments, {"BACKSTAY_DATA_DIR": str(tmp_path)}))
    assert answer.code == 1
    assert "backstay web" in answer.err


def test_a_worker_without_a_schema_does_not_start(tmp_path: Path) -> None:
    answer = finished(program(["worker"], {"BACKSTAY_DATA_DIR": str(tmp_path)}))
    assert answer.code != 0
    assert "backstay migrate" in answer.err


def test_an_address_that_is_taken_is_a_sentence_and_no_traceback(node: Node, tmp_path: Path) -> None:
    answer = finished(program(["serve", "--http", node.address()], {"BACKSTAY_DATA_DIR": str(tmp_path)}))
    assert answer.code == 1
    assert "error: cannot listen on" in answer.err
    assert "Traceback" not in answer.err


def test_help_and_usage_import_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['backstay', *sys.argv[1:]]\n"
        "from workers.__main__ import main\n"
        "try:\n    main()\n"
        "except SystemExit as left:\n    code = left.code\n"
        f"print('HEAVY', code, sorted(set(sys.modules) & set({HEAVY!r})))\n"
    )
    for arguments in (["--help"], ["snapshots", "restore", "--help"], ["operations", "--help"]):
        told = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True)
        # typer itself may take pydantic to check the choices of a command's options.
        allowed = ["HEAVY 0 []"] if arguments == ["--help"] else ["HEAVY 0 []", "HEAVY 0 ['pydantic']"]
        assert told.stdout.splitlines()[-1] in allowed, (arguments, told)
