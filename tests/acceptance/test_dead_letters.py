"""Two hundred dead letters of five causes: a canary fails, the causes are put right, and all of them go through."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.contracts import Rejected
from domain.letters import LetterFilter
from domain.operation import State
from tests.acceptance.platform import SOURCE, Platform
from tests.command_line import answer_of
from tests.fakes.trees import grow
from tests.waiting import eventually
from workers.runtime import NodeProcess

#: Letters of each cause; and services of each, so that order within a service matters too.
EACH, SERVICES = 40, 4
ABSENT = [f"absent-{n}" for n in range(SERVICES)]  # nobody has registered them
BARE = [f"bare-{n}" for n in range(SERVICES)]  # registered, but their directory is not there
LAX = [f"lax-{n}" for n in range(SERVICES)]  # without a policy
NEW = [f"new-{n}" for n in range(EACH)]  # not registered either, and meant to get a policy


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(tmp_path / "platform")
    yield made
    made.close()


def _break_things(platform: Platform) -> None:
    """Publish what cannot be done as things are, and wait until all of it is a dead letter."""
    for name in BARE:
        platform.run("register-service", {"node": "web-1"}, service=name)
    for name in LAX:
        platform.service(name)
    asked: dict[str, tuple[list[str], Callable[[int], dict[str, Any]]]] = {
        "set-retention": (NEW, lambda n: {"policy": {"last": 5}}),
        "create-snapshot": (BARE, lambda n: {"labels": [f"n:{n}"]}),
        "apply-retention": (LAX, lambda n: {}),
    }
    for n in range(EACH):
        for kind, (services, data) in asked.items():
            platform.publish(kind, data(n), service=services[n % len(services)])
        platform.publish("create-snapshot", {"labels": [f"n:{n}"]}, service=ABSENT[n % SERVICES])
    _messages_of_an_older_intake(platform)


def _messages_of_an_older_intake(platform: Platform) -> None:
    """Refused by a release that did not know their type; this one does."""
    raws = [
        {
            "specversion": "1.0", "id": f"old-{n}", "source": SOURCE, "type": "backstay.create-snapshot.v1",
            "subject": f"tenant/acme/service/{LAX[n % SERVICES]}", "data": {"labels": [f"old:{n}"]},
        }
        for n in range(EACH)
    ]  # fmt: skip
    platform.system.database.inbox.accept(
        [
            Rejected(json.dumps(raw).encode(), "unknown-type", "type: is none of these", SOURCE, str(raw["id"]),
                     "create-snapshot", str(raw["subject"]))
            for raw in raws
        ]
    )  # fmt: skip


def _repair(platform: Platform) -> None:
    for name in ABSENT:
        platform.service(name)
    registered = [platform.publish("register-service", {"node": "web-1"}, service=name) for name in NEW]
    assert {platform.outcome(message_id).state for message_id in registered} == {State.SUCCEEDED}
    for name in BARE:
        grow(platform.apps("web-1") / name, seed=1)
    for name in LAX:
        assert platform.run("set-retention", {"policy": {"last": 500}}, service=name).state is State.SUCCEEDED


def _cli(platform: Platform, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the document of a command."""
    environment = {"BACKSTAY_DATA_DIR": str(platform.home), "BACKSTAY_NODE": "desk"}
    answer = answer_of(["dead-letters", *arguments, "--json"], environment)
    return answer.code, answer.document()


def _unresolved(platform: Platform) -> int:
    return len(platform.system.database.letter_questions.candidates(LetterFilter(), 1000))


def test_two_hundred_letters_of_five_causes_go_through_once_their_causes_are_gone(platform: Platform) -> None:
    node = platform.start("web-1")
    _break_things(platform)
    eventually(lambda: _unresolved(platform) == 5 * EACH, what="everything has failed")
    _, causes = _cli(platform, "groups")
    assert [group["letters"] for group in causes["groups"]] == [EACH] * 5
    _, dry = _cli(platform, "replay", "--tenant", "acme", "--dry-run")
    assert dry["would_replay"] == dry["verdicts"]["safe"] == 5 * EACH

    # A canary of each cause: four of the five are still there. The program leaves, and the node carries it on.
    _, begun = _cli(platform, "replay", "--tenant", "acme", "--canary", "5")
    assert begun["state"] in ("RUNNING", "STOPPED"), "the node may have seen a canary's end before the program told"
    assert begun["waiting"] >= 5 * EACH - 5
    eventually(lambda: _ended_by(node, platform), what="it has stopped")
    code, stopped = _cli(platform, "replays", begun["replay_id"], "--wait")
    assert (code, stopped["state"], stopped["waiting"]) == (1, "STOPPED", 5 * EACH - 5)
    assert stopped["not_succeeded"] >= 1
    left = _unresolved(platform)
    assert left == 5 * EACH - stopped["succeeded"], "each failed canary is a letter of its own, nothing is lost"

    _repair(platform)
    code, done = _cli(platform, "replay", "--tenant", "acme", "--canary", "5", "--wait")
    assert (code, done["state"], done["succeeded"]) == (0, "DONE", left)
    assert (done["waiting"], done["skipped"], done["left_out"]) == (0, 0, [])
    assert _unresolved(platform) == 0
    _each_was_done_once(platform)
    assert _cli(platform, "replay", "--tenant", "acme")[1]["would_replay"] == 0
    replayed = platform.system.database.audit.list(action="dead-letter.replay", limit=1000)
    assert len(replayed) == 5 + left


def _ended_by(node: NodeProcess, platform: Platform) -> bool:
    """Whether no replay is under way, after the node has looked."""
    node.sweeper.round()
    return not platform.system.database.replays.running()


def _each_was_done_once(platform: Platform) -> None:
    """By what the commands asked for: one snapshot for each label, one policy for each service."""
    for services, prefix in ((ABSENT, "n"), (BARE, "n"), (LAX, "old")):
        for n in range(EACH):
            assert len(platform.listed(services[n % SERVICES], labels=(f"{prefix}:{n}",))) == 1
    ended = Counter(
        (operation.kind, operation.service_id)
        for operation in platform.system.database.list_operations(states=[State.SUCCEEDED], limit=2000)
        if operation.kind in ("set-retention", "apply-retention")
    )
    assert {name: ended["set-retention", name] for name in NEW} == dict.fromkeys(NEW, 1)
    assert {name: ended["apply-retention", name] for name in LAX} == dict.fromkeys(LAX, EACH // SERVICES)
