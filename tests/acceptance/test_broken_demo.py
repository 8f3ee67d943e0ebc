"""`backstay demo --broken`: every breakage is real, and is repaired with nothing but the command line and an editor.

What the operator knows is taken from the screens: each repair begins with reading there what is to be done.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.broken_stage import broken_site, command_line
from tests.command_line import CommandLine
from tests.waiting import eventually
from workers.demo.breakages import BREAKAGES
from workers.demo.broken import healed
from workers.demo.premises import LOST_NODE, NODE, Site

site = pytest.fixture(scope="module")(broken_site)
cli = pytest.fixture(command_line)


def restarted(site: Site) -> None:
    site.stop(NODE)
    site.start(NODE)


def letters(cli: CommandLine, **wanted: Any) -> list[dict[str, Any]]:
    found = cli.run("dead-letters", "list", "--json").document()["dead_letters"]
    return [one for one in found if all(one[name] == value for name, value in wanted.items())]


def newest(cli: CommandLine, service: str) -> dict[str, Any]:
    (found,) = cli.run("operations", "list", "--service", service, "--limit", "1", "--json").document()["operations"]
    return dict(found)


def is_healed(site: Site, number: int) -> bool:
    return bool(healed(site, [BREAKAGES[number]]))


def test_nothing_is_whole_and_doctor_points_at_it(site: Site, cli: CommandLine) -> None:
    assert healed(site, list(BREAKAGES)) == []
    answer = cli.run("doctor")
    assert answer.code == 1
    assert "STUCK" in answer.out
    assert "dump-note" in answer.out
    assert "the region does not let us in" in answer.out
    assert "`backstay operations explain" in answer.out
    assert "`backstay dead-letters list`" in answer.out


def test_the_directory_that_was_moved_is_named_and_a_replay_saves_the_service(site: Site, cli: CommandLine) -> None:
    (letter,) = letters(cli, reason="directory-not-found")
    shown = cli.run("operations", "show", letter["operation_id"]).out
    directory = str(site.apps() / "blog")
    assert f"bring {directory} back" in shown
    Path(f"{directory}.old").rename(directory)
    assert cli.run("dead-letters", "replay", letter["dead_letter_id"]).code == 0
    assert cli.run("operations", "watch", newest(cli, "blog")["operation_id"]).code == 0
    assert is_healed(site, 0)


def test_the_program_that_is_not_there_is_named(site: Site, cli: CommandLine) -> None:
    (letter,) = letters(cli, reason="source-failed")
    shown = cli.run("operations", "show", letter["operation_id"]).out
    (program,) = re.findall(r"install (\S+) on the node", shown)
    assert program == f"{site.home}/bin/dump-note"
    assert [path.name for path in Path(program).parent.glob("dump*")] == ["dump-notes"]
    site.file.write_text(site.file.read_text().replace('/dump-note"', '/dump-notes"'))
    restarted(site)
    assert cli.run("dead-letters", "replay", letter["dead_letter_id"]).code == 0
    assert cli.run("operations", "watch", newest(cli, "wiki")["operation_id"]).code == 0
    assert is_healed(site, 1)


def test_a_damaged_snapshot_points_at_the_others(site: Site, cli: CommandLine) -> None:
    (letter,) = letters(cli, reason="snapshot-damaged")
    assert "of service docs cannot be restored" in letter["sentence"]
    shown = cli.run("operations", "show", letter["operation_id"]).out
    assert "backstay snapshots list --service docs" in shown
    found = cli.run("snapshots", "list", "--service", "docs", "--json").document()["snapshots"]
    assert [one["state"] for one in found] == ["corrupt", "available"]
    assert cli.run("snapshots", "restore", found[1]["snapshot_id"]).code == 0
    assert is_healed(site, 2)
    discard = ("dead-letters", "discard", letter["dead_letter_id"], "--reason", "an older snapshot was restored")
    assert cli.run(*discard).code == 0


def test_what_waits_for_a_lost_node_says_so_and_its_service_is_moved(site: Site, cli: CommandLine) -> None:
    waiting = newest(cli, "mail")
    assert LOST_NODE in waiting["waits_for"]
    assert cli.run("operations", "cancel", waiting["operation_id"]).code == 0
    (snapshot,) = cli.run("snapshots", "list", "--service", "mail", "--json").document()["snapshots"]
    assert cli.run("snapshots", "restore", snapshot["snapshot_id"], "--target-node", NODE).code == 0
    assert is_healed(site, 3)


def test_a_stuck_upgrade_tells_the_regions_last_words_and_the_way_out(site: Site, cli: CommandLine) -> None:
    stuck = newest(cli, "shop")
    assert stuck["state"] == "STUCK"
    (about,) = letters(cli, reason="undo-failed")
    told = cli.run("dead-letters", "show", about["dead_letter_id"]).out.splitlines()[-1]
    assert "operations resolve" in told
    assert "dead-letters replay" not in told
    shown = cli.run("operations", "explain", stuck["operation_id"]).out
    assert f"backstay operations resolve {stuck['operation_id']} --retry" in shown
    (letter,) = set(re.findall(r"was sent to (\S+)", shown))
    token = Path(letter).read_text().splitlines()[-1]
    text = site.file.read_text()
    site.file.write_text(re.sub(r'token = ".*"', f'token = "{token}"', text))
    restarted(site)
    assert cli.run("operations", "resolve", stuck["operation_id"], "--retry").code == 0
    assert cli.run("operations", "watch", stuck["operation_id"]).code == 4
    assert is_healed(site, 4)


def test_a_pause_that_was_forgotten_is_found_by_doctor_and_ended(site: Site, cli: CommandLine) -> None:
    (command,) = re.findall(r"`backstay (schedules resume [^`]+)`", cli.run("doctor").out)
    assert cli.run(*command.split(), "--skip-missed").code == 0
    assert is_healed(site, 5)


def test_messages_that_nobody_understands_say_what_is_wrong_and_are_put_right_or_aside(
    site: Site, cli: CommandLine
) -> None:
    wrong = [letter for letter in letters(cli) if letter["reason"] == "invalid"]
    assert all(letter["subject"].rpartition("/")[2] in cli.run("dead-letters", "list").out for letter in wrong)
    shown = cli.run("dead-letters", "show", wrong[0]["dead_letter_id"], "--raw", "--json").document()
    corrected = shown["message"]["text"].replace('"label"', '"labels"')
    assert cli.run("dead-letters", "edit", wrong[0]["dead_letter_id"], "--data", corrected).code == 0
    for letter in letters(cli):
        discard = ("dead-letters", "discard", letter["dead_letter_id"], "--reason", "its sender was told")
        assert cli.run(*discard).code == 0
    assert is_healed(site, 6)
    eventually(lambda: healed(site, list(BREAKAGES)) == list(BREAKAGES), 60, "the corrected message was carried out")
    failing = [one["name"] for one in cli.run("doctor", "--json").document()["checks"] if one["verdict"] == "fail"]
    assert set(failing) <= {"schedules"}, "a node that was restarted looks after the schedules a moment later"
