"""Commands that look and cancel, on a real database that no worker serves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.errors import NotFound, Refused
from domain.formats import configuration_from
from domain.operation import State
from domain.outcome import AddSnapshot, Item, Outcome, SaveService
from domain.service import Service
from domain.snapshot import Consistency, Label, Snapshot, SnapshotState
from storage.archive.layout import STORE_ID
from tests.command_line import CommandLine
from workers.cli import services

SECRET = "correct-horse-battery"
CONFIGURATION = {"envs": [{"name": "DB_PASSWORD", "value": SECRET, "secret": True}]}
UNKNOWN = "0192f0c1-0000-7000-8000-000000000000"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    made = CommandLine(tmp_path / "data", monkeypatch)
    assert made.run("migrate").code == 0
    return made


def register(cli: CommandLine, service_id: str = "web", tenant_id: str = "acme") -> None:
    cli.accept("register-service", service_id, f"register-{service_id}", configuration=CONFIGURATION)
    saved = Service(
        service_id, tenant_id, "Web", service_id, "n1", document=configuration_from(CONFIGURATION).document()
    )
    cli.system.database.ledger.settle(cli.claim(), Outcome.succeeded("registered", changes=(SaveService(saved),)))


def take(cli: CommandLine, *labels: str, service_id: str = "web") -> str:
    op_id = cli.accept("create-snapshot", service_id, f"take-{service_id}-{len(labels)}-{'-'.join(labels)}")
    row = Snapshot(
        op_id, "acme", service_id, SnapshotState.AVAILABLE, 1_700_000_000_000, f"m/{op_id}", "ab" * 32, 10, 5, 2,
        Consistency.STABLE, ("configuration", "data"), labels=tuple(Label.parse(text) for text in labels),
    )  # fmt: skip
    cli.system.database.ledger.settle(cli.claim(), Outcome.succeeded("taken", changes=(AddSnapshot(row),)))
    return op_id


# ---------------------------------------------------------------- operations
def test_a_list_of_operations_is_one_document_with_a_way_to_the_next_page(cli: CommandLine) -> None:
    made = [cli.accept(message_id=f"m{number}") for number in range(5)]
    first = cli.run("operations", "list", "--limit", "3", "--json").document()
    assert [found["operation_id"] for found in first["operations"]] == made[:1:-1]
    second = cli.run("operations", "list", "--limit", "3", "--before", first["next"], "--json").document()
    assert [found["operation_id"] for found in second["operations"]] == made[1::-1]
    assert second["next"] is None


def test_operations_can_be_narrowed_by_service_state_and_type(cli: CommandLine) -> None:
    cli.accept(service="web", message_id="a")
    other = cli.accept("delete-snapshot", "db", "b")
    for narrowed in (["--service", "db"], ["--kind", "delete-snapshot"], ["--service", "db", "--state", "queued"]):
        found = cli.run("operations", "list", "--json", *narrowed).document()["operations"]
        assert [operation["operation_id"] for operation in found] == [other], narrowed
    assert cli.run("operations", "list", "--json", "--state", "STUCK").document()["operations"] == []


def test_an_operation_that_has_not_ended_says_what_it_waits_for(cli: CommandLine) -> None:
    op_id = cli.accept()
    document = cli.run("operations", "show", op_id, "--json").document()
    assert (document["state"], document["outcome"], document["sentence"]) == ("QUEUED", None, None)
    assert "free worker" in document["waits_for"]
    assert "free worker" in cli.run("operations", "list").out


def test_an_operation_that_has_ended_tells_its_outcome_whole(cli: CommandLine) -> None:
    op_id = cli.accept()
    item = Item("a.log", "changed-while-read", "kept changing")
    cli.system.database.ledger.settle(cli.claim(), Outcome.succeeded("snapshot taken", items=(item,), files=3))
    document = cli.run("operations", "show", op_id, "--json").document()
    assert document["outcome"] == "succeeded"
    assert document["complete"] is False
    assert document["items"] == [{"name": "a.log", "code": "changed-while-read", "sentence": "kept changing"}]
    assert document["figures"] == {"files": 3}
    assert document["waits_for"] is None
    shown = cli.run("operations", "show", op_id).out
    assert "left out: a.log" in shown


def test_the_fields_of_an_operation_are_those_that_are_documented(cli: CommandLine) -> None:
    document = cli.run("operations", "show", cli.accept(), "--json").document()
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    assert [name for name in document if f"`{name}`" not in page] == []


def test_the_journal_is_shown_step_by_step(cli: CommandLine) -> None:
    op_id = cli.accept("restore-snapshot")
    claim = cli.claim()
    cli.system.database.ledger.intend(claim, 1, "swap", {"target": "/apps/web", "inode": 7}, (), 60_000)
    cli.system.database.ledger.conclude(claim, 1, "DONE", {}, 60_000)
    steps = cli.run("operations", "show", op_id, "--json").document()["steps"]
    assert steps == [
        {"ordinal": 1, "kind": "swap", "state": "DONE", "request": {"target": "/apps/web", "inode": 7}, "reply": {}}
    ]
    assert "inode=7 target=/apps/web" in cli.run("operations", "show", op_id).out


def test_nothing_of_a_configuration_is_on_any_screen(cli: CommandLine) -> None:
    register(cli)
    (operation,) = cli.run("operations", "list", "--json").document()["operations"]
    for command in (
        ["operations", "show", operation["operation_id"]],
        ["operations", "list"],
        ["services", "show", "web"],
        ["services", "list"],
        ["config", "show", "--origin"],
        ["doctor"],
    ):
        for form in ([], ["--json"]):
            answer = cli.run(*command, *form)
            assert answer.out, command
            assert SECRET not in answer.out + answer.err, command


def test_cancelling_what_has_not_begun_ends_it(cli: CommandLine) -> None:
    op_id = cli.accept()
    answer = cli.run("operations", "cancel", op_id, "--json")
    assert (answer.code, answer.document()["state"]) == (0, "CANCELLED")
    assert cli.run("operations", "cancel", op_id).code == 0, "a repeat is harmless"


def test_cancelling_what_runs_asks_it_to_stop(cli: CommandLine) -> None:
    op_id = cli.accept()
    cli.claim()
    answer = cli.run("operations", "cancel", op_id, "--json")
    document = answer.document()
    assert (answer.code, document["state"], document["cancel_requested"]) == (0, "RUNNING", True)


def test_cancelling_what_has_ended_is_not_allowed(cli: CommandLine) -> None:
    op_id = cli.accept()
    cli.system.database.ledger.settle(cli.claim(), Outcome.succeeded("done"))
    answer = cli.run("operations", "cancel", op_id)
    assert answer.code == 12
    assert f"error: operation {op_id} has already ended: SUCCEEDED" in answer.err


@pytest.mark.parametrize("command", ["show", "cancel", "watch"])
def test_an_operation_that_does_not_exist_is_code_10(cli: CommandLine, command: str) -> None:
    answer = cli.run("operations", command, UNKNOWN, "--json")
    assert answer.code == 10
    assert answer.document()["error"]["code"] == "unknown-operation"
    assert answer.err.startswith(f"error: operation {UNKNOWN} does not exist\nnext: ")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.succeeded("done"), 0),
        (Outcome.succeeded("done", items=(Item("a", "b", "c"),)), 3),
        (Outcome(State.ROLLED_BACK, "put back", code="region-refused"), 4),
        (Outcome.failed(Refused("no")), 1),
        (Outcome.failed(NotFound("no", code="directory-not-found")), 10),
    ],
)
def test_watching_ends_with_the_outcome_and_its_code(cli: CommandLine, outcome: Outcome, code: int) -> None:
    op_id = cli.accept()
    claim = cli.claim()
    if outcome.state is State.ROLLED_BACK:
        cli.system.database.ledger.turn_back(claim, outcome)
    cli.system.database.ledger.settle(claim, outcome)
    answer = cli.run("operations", "watch", op_id, "--json")
    assert (answer.code, answer.document()["outcome"]) == (code, outcome.event_name())


def test_watching_everything_cannot_be_one_document(cli: CommandLine) -> None:
    answer = cli.run("operations", "watch", "--json")
    assert (answer.code, answer.document()["error"]["code"]) == (2, "usage")


# ---------------------------------------------------------------- snapshots and services
def test_snapshots_are_found_by_any_service_and_every_label(cli: CommandLine) -> None:
    register(cli, "web")
    register(cli, "db")
    register(cli, "mail")
    both = take(cli, "owner:42", "reason:nightly")
    one = take(cli, "owner:42", service_id="db")
    take(cli, "owner:7", service_id="mail")

    def found(*options: str) -> set[str]:
        return {s["snapshot_id"] for s in cli.run("snapshots", "list", "--json", *options).document()["snapshots"]}

    assert found("--label", "owner:42") == {both, one}
    assert found("--label", "owner:42", "--label", "reason:nightly") == {both}
    assert found("--service", "web", "--service", "db") == {both, one}
    assert found("--service", "db", "--label", "reason:nightly") == set()
    assert len(found()) == 3
    assert "owner:42 reason:nightly" in cli.run("snapshots", "list").out


def test_older_tools_get_four_field_keys_and_the_metadata_behind_them(cli: CommandLine) -> None:
    """RS-01, RS-02, RS-03: the index value is that of the last such label; `-` without one."""
    register(cli)
    first, second = take(cli, "owner:1", "owner:a:b"), take(cli, "reason:x")
    assert set(cli.run("snapshots", "list", "--keys").out.split()) == {
        f"web:{first}:a%3Ab:1700000000", f"web:{second}:-:1700000000",
    }  # fmt: skip
    documents = cli.run("snapshots", "list", "--keys", "--label", "owner:1", "--json").document()["snapshots"]
    (found,) = documents
    assert found["key"].split(":")[1] == found["metadata"]["uuid"] == first
    assert found["metadata"]["labels"] == ["owner:1", "owner:a:b", f"size:{found['stored_bytes']}"]


def test_a_snapshot_is_shown_with_its_sizes_and_labels(cli: CommandLine) -> None:
    register(cli)
    snapshot_id = take(cli, "owner:42")
    document = cli.run("snapshots", "show", snapshot_id, "--json").document()
    assert (document["logical_bytes"], document["labels"]) == (10, ["owner:42"])
    assert document["taken_at"] == "2023-11-14T22:13:20.000Z"
    assert "owner:42" in cli.run("snapshots", "show", snapshot_id).out


def test_a_label_to_look_for_must_have_a_value(cli: CommandLine) -> None:
    assert cli.run("snapshots", "list", "--label", "owner").code == 2


@pytest.mark.parametrize(
    "command",
    [
        ["snapshots", "show", UNKNOWN],
        ["snapshots", "restore", UNKNOWN],
        ["snapshots", "delete", UNKNOWN],
        ["snapshots", "create", "--service", "nobody"],
        ["services", "show", "nobody"],
        ["dead-letters", "show", UNKNOWN],
        ["dead-letters", "replay", UNKNOWN],
        ["dead-letters", "discard", UNKNOWN, "--reason", "x"],
    ],
)
def test_what_does_not_exist_is_code_10_and_publishes_nothing(cli: CommandLine, command: list[str]) -> None:
    answer = cli.run(*command)
    assert answer.code == 10
    assert answer.err.startswith("error: ")
    assert not (cli.data_dir / "spool").exists()


def test_services_are_listed_by_tenant_and_shown_without_their_configuration(cli: CommandLine) -> None:
    register(cli)
    (listed,) = cli.run("services", "list", "--tenant", "acme", "--json").document()["services"]
    assert (listed["service_id"], listed["node"], listed["directory"]) == ("web", "n1", "web")
    assert cli.run("services", "list", "--tenant", "other", "--json").document()["services"] == []
    shown = cli.run("services", "show", "web", "--json").document()
    assert shown["has_configuration"] is True
    assert shown["newest_snapshot_id"] is None


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("s.json", '{"service": "web"}', "tenant"),
        ("s.json", '{"tenant": "acme", "service": "web", "colour": 1}', "colour"),
        ("s.json", "[1]", "one object"),
        ("s.json", "{", "is not JSON (line 1)"),
        ("s.toml", "=", "is not TOML"),
        ("s.toml", 'tenant = "acme"\nservice = "web"\n[configuration]\nsince = 2026-11-20', "holds a date"),
        ("absent.json", None, "No such file"),
        ("s.yaml", "tenant: [", "is not YAML (line 1"),
        ("s.yaml", "tenant: acme\ntenant: other\n", "a key twice"),
        ("s.yaml", "a: &x [1]\nb: *x\n", "aliases are not taken"),
        ("s.yaml", "tenant: !!python/object/apply:os.getcwd []\n", "is not YAML"),
        ("s.yml", "tenant: acme\nservice: web\nconfiguration: {since: 2026-11-20}\n", "holds a date"),
        ("s.yml", "tenant: acme\nservice: web\nconfiguration: {8080: x}\n", "no text"),
        ("s.json", '{"tenant": "acme", "service": "web", "directory": "../etc"}', "data.directory"),
    ],
)
def test_a_service_file_with_a_mistake_is_code_2_and_publishes_nothing(
    cli: CommandLine, tmp_path: Path, name: str, text: str | None, named: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    answer = cli.run("services", "apply", str(tmp_path / name))
    assert answer.code == 2
    assert named in answer.err
    assert not (cli.data_dir / "spool").exists()


def test_one_service_reads_the_same_from_json_toml_and_yaml(tmp_path: Path) -> None:
    meant = {"tenant": "acme", "service": "web", "configuration": {"envs": [{"name": "A", "value": "1"}]}}
    (tmp_path / "s.json").write_text(json.dumps(meant))
    (tmp_path / "s.toml").write_text(
        'tenant = "acme"\nservice = "web"\n[[configuration.envs]]\nname = "A"\nvalue = "1"\n'
    )
    (tmp_path / "s.yaml").write_text(
        'tenant: acme\nservice: web\nconfiguration:\n  envs:\n    - {name: A, value: "1"}\n'
    )
    read = [services.read(tmp_path / name) for name in ("s.json", "s.toml", "s.yaml")]
    assert read == [("tenant/acme/service/web", {"configuration": meant["configuration"]})] * 3


# ---------------------------------------------------------------- configuration and the rest
def test_every_mistake_in_the_configuration_is_told_at_once(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTAY_THREADS", "none")
    monkeypatch.setenv("BACKSTAY_LOG_LEVEL", "loud")
    answer = cli.run("operations", "list", "--json")
    assert answer.code == 2
    assert len(answer.document()["error"]["problems"]) == 2
    assert "BACKSTAY_THREADS" in answer.err
    assert "BACKSTAY_LOG_LEVEL" in answer.err


def test_shown_configuration_names_origins_and_masks_passwords(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_URL", f"amqp://guest:{SECRET}@broker:5672//")
    answer = cli.run("config", "show", "--origin", "--json")
    settings = {setting["name"]: setting for setting in answer.document()["settings"]}
    assert settings["BROKER_URL"]["value"] == "amqp://guest:********@broker:5672//"
    assert settings["BROKER_URL"]["origin"] == "environment BROKER_URL"
    assert settings["BACKSTAY_THREADS"]["origin"] == "default"


def test_a_new_key_is_a_key_ring(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = cli.run("config", "new-key").out.strip(), cli.run("config", "new-key").out.strip()
    assert first != second
    monkeypatch.setenv("BACKSTAY_SECRET_KEYS", first)
    assert "key k1 seals" in cli.run("doctor").out


def test_the_table_of_messages_is_the_folder_of_handlers(cli: CommandLine) -> None:
    found = cli.run("messages", "--json").document()["messages"]
    names = {path.stem.replace("_", "-") for path in (Path(__file__).parents[2] / "handlers").glob("[a-z]*.py")}
    assert {message["type"] for message in found} == {f"backstay.{name}.v1" for name in names}
    for message in found:
        assert message["summary"] in cli.run("messages").out
        assert json.loads(message["example"]), message["type"]


def test_looking_never_makes_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli = CommandLine(tmp_path / "misspelt", monkeypatch)
    answer = cli.run("operations", "list", "--json")
    assert answer.code == 75
    assert answer.document()["error"]["code"] == "schema-not-ready"
    assert "backstay migrate" in answer.err
    assert not cli.data_dir.exists()


# ---------------------------------------------------------------- doctor
def test_doctor_finds_a_fresh_installation_fine(cli: CommandLine) -> None:
    cli.system.database.nodes.beat("n1", "boot", "1")
    (cli.data_dir / "apps").mkdir()
    answer = cli.run("doctor", "--json")
    assert [check for check in answer.document()["checks"] if check["verdict"] != "ok" and not check["next_step"]] == []
    verdicts = {check["name"]: check["verdict"] for check in answer.document()["checks"]}
    assert answer.code == (1 if verdicts["room"] == "fail" else 0), answer.out
    assert verdicts.pop("room") in ("ok", "fail"), "the disk of the machine that runs the tests may be full"
    assert set(verdicts) == {
        "data directory", "apps root", "regions", "programs", "events",
        "schedules", "recovery points", "drills",
        "configuration", "keys", "encryption", "database", "sealed data", "broker", "store", "work", "dead letters",
        "nodes", "replicas",
    }  # fmt: skip
    assert set(verdicts.values()) == {"ok"}


def test_doctor_leaves_no_probe_in_the_store(cli: CommandLine) -> None:
    cli.run("doctor")
    assert [info.key for info in cli.system.store.list("")] == [STORE_ID], "its name, and nothing else"


def test_doctor_fails_when_a_part_does_and_still_checks_the_others(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_URL", "amqp://guest:guest@127.0.0.1:9//")
    answer = cli.run("doctor", "--json")
    checks = {check["name"]: check for check in answer.document()["checks"]}
    assert answer.code == 1
    assert checks["broker"]["verdict"] == "fail"
    assert checks["broker"]["next_step"]
    assert checks["store"]["verdict"] == "ok"


def test_doctor_points_at_stuck_work_and_dead_letters(cli: CommandLine) -> None:
    op_id = cli.accept()
    cli.system.database.ledger.settle(cli.claim(), Outcome(State.STUCK, "cannot be put back", code="undo-failed"))
    answer = cli.run("doctor", "--json")
    checks = {check["name"]: check for check in answer.document()["checks"]}
    assert answer.code == 1
    assert op_id in checks["work"]["next_step"]
    assert checks["dead letters"]["verdict"] == "warn"


def test_doctor_says_without_a_database_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = CommandLine(tmp_path / "new", monkeypatch).run("doctor")
    assert answer.code == 1
    assert "next: database: run `backstay migrate`" in answer.out
