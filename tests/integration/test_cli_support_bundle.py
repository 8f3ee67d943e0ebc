"""`backstay support-bundle`: it has what a helper needs, no secret at all, and is made when half of it is broken."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from domain.contracts import Rejected
from domain.operation import State
from domain.outcome import Outcome, SaveService
from domain.service import Service
from tests.command_line import CommandLine
from workers.scrub import scrubbed, secrets_of_document

SECRETS = {
    "env": "correct-horse-battery",
    "hub": 'registry"pass\\word',
    "region": "region-token-4711",
    "broker": "rabbit%40password",
    "raw": "raw-message-secret",
    "trace": "traceback-secret",
}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """An installation in which secrets stand wherever one might: some of them where they never should."""
    regions = {"main": {"url": "http://127.0.0.1:9", "token": f"Token {SECRETS['region']}", "connect_seconds": 0.5}}
    monkeypatch.chdir(tmp_path)
    made = CommandLine(tmp_path / "data", monkeypatch)
    assert made.run("migrate").code == 0
    monkeypatch.setenv("BACKSTAY_REGIONS", json.dumps(regions))
    monkeypatch.setenv("BROKER_URL", f"amqp://guest:{SECRETS['broker']}@127.0.0.1:9//")
    database = made.system.database
    made.accept("register-service", "web", "register", configuration={"envs": [{"value": SECRETS["env"]}]})
    document = {
        "schema": 1, "origin": {}, "rest": {},
        "items": {"env": {"A": {"name": "A", "value": SECRETS["env"], "secret": True}},
                  "image": {"image": {"value": "shop:1", "hub_password": SECRETS["hub"]}}},
    }  # fmt: skip
    saved = SaveService(Service("web", "acme", "web", "web", node="n1", document=document))
    database.ledger.settle(made.claim(), Outcome.succeeded("registered", changes=(saved,)))
    made.accept("create-snapshot", "web", "leaks")
    told = f"the program said: login {SECRETS['env']} with {SECRETS['hub']} refused"
    failed = Outcome(State.FAILED, told, code="source-failed", traceback=f"ValueError: {SECRETS['trace']}")
    database.ledger.settle(made.claim(), failed)
    database.inbox.accept([Rejected(SECRETS["raw"].encode(), "invalid", "field labels must be a list")])
    return made


def _files(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            found[member.name.partition("/")[2]] = file.read().decode()
    return found


def test_it_has_what_a_helper_needs_and_none_of_the_secrets(cli: CommandLine, tmp_path: Path) -> None:
    """I18"""
    log = tmp_path / "worker.log"
    ring = (cli.data_dir / "secret.keys").read_text().strip()
    log.write_text(f"connected with {SECRETS['broker']} and rabbit@password\n{ring}\n" + "\n".join(SECRETS.values()))
    stuck = cli.accept("restore-snapshot", "web", "stuck")
    claim = cli.claim()
    cli.system.database.ledger.intend(claim, 0, "swap", {"target": "/apps/web"}, (), 60_000)
    cli.system.database.ledger.settle(claim, Outcome(State.STUCK, "cannot be put back", code="undo-failed"))
    answer = cli.run("support-bundle", "--output", "b.tar.gz", "--log", str(log), "--json")
    assert answer.code == 0, answer.err
    files = _files(tmp_path / "b.tar.gz")
    assert set(files) == set(answer.document()["files"])
    assert {
        "about.json",
        "config.json",
        "doctor.json",
        "metrics.txt",
        "nodes.json",
        "audit.json",
        "schedules.json",
    } <= set(files)
    assert "logs/0-worker.log" in files
    assert json.loads(files[f"operations/{stuck}.json"])["story"][0]["state"] == "INTENT"
    assert "login ******** with" in files["operations.json"]
    whole = "".join(files.values())
    hidden = {*SECRETS.values(), json.dumps(SECRETS["hub"])[1:-1], "rabbit@password", ring.partition(":")[2]}
    hidden -= {SECRETS["raw"], SECRETS["trace"]}  # they stand in the log, which was given by hand
    assert [secret for secret in hidden if secret in whole] == []
    without_log = "".join(text for name, text in files.items() if not name.startswith("logs/"))
    assert SECRETS["raw"] not in without_log and SECRETS["trace"] not in without_log
    assert os.stat(tmp_path / "b.tar.gz").st_mode & 0o077 == 0


def test_it_is_made_without_a_database_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = CommandLine(tmp_path / "new", monkeypatch).run("support-bundle", "--json")
    document = answer.document()
    assert answer.code == 0
    assert "there is no database" in document["missing"]["operations.json"]
    assert {"doctor.json", "config.json", "about.json"} <= set(_files(Path(document["path"])))


def test_an_older_bundle_is_never_overwritten(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "b.tar.gz").write_text("mine")
    answer = cli.run("support-bundle", "--output", "b.tar.gz", "--json")
    assert (answer.code, answer.document()["error"]["code"]) == (1, "file-exists")
    assert (tmp_path / "b.tar.gz").read_text() == "mine"


def test_an_operation_that_was_asked_for_and_is_not_there_is_named(cli: CommandLine) -> None:
    answer = cli.run("support-bundle", "--output", "b.tar.gz", "--operation", "nobody", "--json")
    assert "does not exist" in answer.document()["missing"]["operations/nobody.json"]


def test_what_is_secret_is_found_however_deep_it_stands() -> None:
    document = {"a": [{"secret": True, "value": "one"}, {"secret": False, "value": "no"}], "b": {"DB_PASSWORD": "two"}}
    assert secrets_of_document(document) == {"one", "two"}
    assert secrets_of_document({"tokens": ["three", {"x": "four"}]}) == {"three"}


def test_a_secret_inside_a_longer_one_leaves_nothing_of_it() -> None:
    assert scrubbed("battery-horse battery", {"battery", "battery-horse"}) == "******** ********"
