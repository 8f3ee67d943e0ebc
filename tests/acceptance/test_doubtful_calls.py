"""What may have been sent and what certainly was not: only the former is put back, and all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from domain.operation import Budget, Operation, State
from tests.acceptance.platform import digest, grow
from tests.acceptance.shop import V1_IMAGE, V2_IMAGE, Names, component_as_installed, template
from tests.acceptance.stage import Stage
from tests.waiting import eventually
from workers import broker

BUSY = {"status": 409, "body": {"msg": "operation is running"}}
QUOTA = {"status": 412, "body": {"msg": "memory quota exceeded"}}


def made(folder: pytest.TempPathFactory, generation: str) -> Stage:
    """With a region of that generation, which honours fences; M gives deployments ids of its own."""
    stage = Stage(folder.mktemp("stage"), fenced=True, generation=generation)
    stage.platform.start(
        "web-1", budget=Budget(max_attempts=10**6, max_undo_attempts=10**6, backoff_base=0.01, backoff_cap=0.05)
    )
    stage.publish_version(template(), "v2.0")
    stage.publish_version(template("v1.1", component_as_installed(deploy_version="20190424000000")), "v1.1")
    return stage


@pytest.fixture(scope="module", autouse=True)
def soon() -> Iterator[None]:
    """What waits for its next attempt is claimed as soon as it may be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broker, "POLL_SECONDS", 0.1)
        yield


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = made(tmp_path_factory, "A")
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def modern(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = made(tmp_path_factory, "M")
    yield stage
    stage.close()


def installed(stage: Stage) -> Names:
    """Another application, in an otherwise empty region; with a directory."""
    stage.region.reset()
    names = Names()
    stage.install(names)
    grow(stage.platform.apps("web-1") / names.web, seed=3, files=4)
    return names


def begun(stage: Stage, names: Names, *rules: dict[str, Any], path: str = "/build$") -> str:
    """An upgrade with data that waits for the region there, while the service writes; its message."""
    stage.region.script(*rules, stage.fail("POST", path, BUSY))
    message = stage.platform.publish("upgrade-service", {"version": "v2.0", "include_data": True}, service=names.web)

    def waits() -> bool:
        found = stage.platform.find(message)
        return found is not None and found.error_code == "region-busy"

    eventually(waits, what="the upgrade waits for the region")
    (stage.platform.apps("web-1") / names.web / "written").write_text("meanwhile")
    return message


def cancel(stage: Stage, message: str) -> None:
    """Somebody cancels it; the region takes deployments again."""
    found = stage.platform.find(message)
    assert found is not None
    data = {"operation_id": found.op_id}
    assert stage.platform.run("cancel-operation", data, service=found.service_id).state is State.SUCCEEDED

    def turns_back() -> bool:
        now = stage.platform.find(message)
        return now is not None and now.state in (State.COMPENSATING, State.ROLLED_BACK)

    eventually(turns_back, what="it is being put back")
    stage.region.script()


def cancelled(stage: Stage, message: str) -> Operation:
    """What has become of it when somebody cancels it."""
    cancel(stage, message)
    return stage.platform.outcome(message)


def deployed(stage: Stage) -> list[str]:
    """The images that the region has taken, in order."""
    return [event["image"] for event in stage.region.root()["events"]]


def tree(stage: Stage, names: Names) -> str:
    return digest(stage.platform.apps("web-1") / names.web)


# ---------------------------------------------------------------- certainly not sent
def test_a_call_that_was_held_back_counts_as_one_that_was_never_sent(stage: Stage) -> None:
    """The 400 to its first real try is no judgement on an earlier one, which there was not."""
    names = installed(stage)
    seal = {"match": {"method": "POST", "path": "/seal$"}, "do": {"status": 403, "body": {"msg": "no"}}, "times": 1}
    invalid = {"status": 400, "body": {"validation_error": {"env_value": ["is required"]}}}
    stage.region.script(seal, stage.fail("POST", "/env$", invalid, nth=1))
    done = stage.upgrade(names.web)
    assert done.state is State.SUCCEEDED and done.outcome is not None, done.outcome
    assert [(item["name"], item["code"]) for item in done.outcome["items"]] == [
        (f"{names.web}/env/CACHE_URL", "left-out")
    ]
    stage.agree(names, names.web)


def test_what_was_never_sent_is_not_put_back(stage: Stage) -> None:
    names = installed(stage)
    assert cancelled(stage, begun(stage, names, path="/env$")).state is State.ROLLED_BACK
    assert set(stage.calls(names, names.web)) == {"POST /env"}


def test_data_stays_when_the_deployment_was_never_taken(stage: Stage) -> None:
    """The old version has run all the time, and what it wrote is its own."""
    names = installed(stage)
    before = stage.held(names, names.web)
    message = begun(stage, names)
    written = tree(stage, names)
    assert cancelled(stage, message).state is State.ROLLED_BACK
    assert (tree(stage, names), deployed(stage)) == (written, [])
    assert stage.held(names, names.web) == before


def test_a_region_that_keeps_our_ids_is_believed_when_it_does_not_know_one(stage: Stage) -> None:
    """Its reply was lost and it was never taken: neither data nor deployment go back."""
    names = installed(stage)
    assert stage.upgrade(names.web, "v1.1").state is State.SUCCEEDED
    message = begun(stage, names, stage.fail("POST", "/build$", "cut-before", nth=1))
    written = tree(stage, names)
    assert cancelled(stage, message).state is State.ROLLED_BACK
    assert (tree(stage, names), deployed(stage)) == (written, [V1_IMAGE])


# ---------------------------------------------------------------- perhaps sent
def test_a_deployment_that_cannot_be_recognised_is_put_back_with_its_data(modern: Stage) -> None:
    """A region with event ids of its own never finds ours: what it took without a reply may run."""
    names = installed(modern)
    assert modern.upgrade(names.web, "v1.1").state is State.SUCCEEDED
    before = tree(modern, names)
    message = begun(modern, names, modern.fail("POST", "/build$", "cut-after", nth=1))
    done = cancelled(modern, message)
    assert done.state is State.ROLLED_BACK, done.outcome
    assert deployed(modern) == [V1_IMAGE, V2_IMAGE, V1_IMAGE]
    assert tree(modern, names) == before


def test_a_deployment_that_is_refused_when_it_is_sent_again_may_run_all_the_same(modern: Stage) -> None:
    names = installed(modern)
    once = [modern.fail("POST", "/build$", do, nth=nth) for nth, do in ((1, "cut-after"), (2, QUOTA))]
    modern.region.script(*once)
    done = modern.upgrade(names.web)
    assert (done.state, done.error_code) == (State.ROLLED_BACK, "region-quota"), done.outcome
    assert deployed(modern) == [V2_IMAGE, V1_IMAGE]


def test_where_nothing_is_known_of_a_region_what_may_run_is_put_back(stage: Stage) -> None:
    """The first deployment of all: an old build too many is harmless, a new one too many is not. What was found out
    holds for whoever goes on: that the region has kept the id of an old build by then changes nothing."""
    names = installed(stage)
    before = tree(stage, names)
    message = begun(stage, names, stage.fail("POST", "/build$", "cut-before", nth=1))
    stage.region.put_state({"broken_images": [V1_IMAGE]})
    cancel(stage, message)
    eventually(lambda: len(deployed(stage)) > 1, what="the old state is deployed again, because it has failed")
    stage.region.put_state({"broken_images": []})
    assert stage.platform.outcome(message).state is State.ROLLED_BACK
    assert (tree(stage, names), set(deployed(stage))) == (before, {V1_IMAGE})
