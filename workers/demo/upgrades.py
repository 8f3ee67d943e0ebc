"""The second act: a service is upgraded, half upgraded, killed in its middle, and rolled back with its data.

Apart from the snapshots because a region takes part. After every line console and region have been compared
column by column, and with what they were when nothing may have changed.
"""

from __future__ import annotations

import copy
import time
from typing import Any

from domain.configuration import Configuration
from workers.demo.region import Rows, as_region
from workers.demo.stage import ENDED, Demo, NotTrue, digest

SERVICE, APPLICATION = "web", "demo.shop"
#: Changes that the region has made when the worker is killed.
KILLED_AFTER = 3

V1: dict[str, Any] = {
    "image": "shop:1.0",
    "envs": [{"name": "LOG_LEVEL", "value": "debug"}, {"name": "DB_PASSWORD", "value": "s3cret", "secret": True}],
    "ports": [{"port": 80, "inner": True, "alias": "WEB80"}],
    "volumes": [{"name": "data", "path": "/var/lib/web"}],
    "config_files": [{"name": "conf", "path": "/etc/web.conf", "content": "cache=off\n"}],
    "probes": [{"probe_id": "256417287767497e96a9f76f08a4eec1", "port": 80}],
}


def version(number: int) -> dict[str, Any]:
    """A version that changes something of every kind."""
    wanted = copy.deepcopy(V1) | {"image": f"shop:{number}.0"}
    wanted["envs"].append({"name": f"FEATURE_{number}", "value": "on"})
    wanted["ports"].append({"port": 9000 + number, "inner": True, "alias": f"API{number}"})
    wanted["volumes"].append({"name": f"cache-{number}", "path": f"/var/cache/web-{number}"})
    wanted["config_files"][0]["content"] = f"cache={number}\n"
    wanted["probes"][0] |= {"scheme": "http", "path": f"/healthz/{number}"}
    return {"services": {SERVICE: wanted}}


def tell(demo: Demo) -> None:
    """Install, upgrade, fail, kill, roll back."""
    demo.subject = f"tenant/acme/service/{SERVICE}"
    _install(demo)
    _upgrade(demo)
    _refused_half_way(demo)
    before, tree = agreed(demo), digest(demo.tree(SERVICE))
    _killed_half_way(demo)
    _roll_back(demo, before, tree)


def console_rows(demo: Demo) -> Rows:
    """What the console says of the service, in the region's columns."""
    found = demo.system.database.services.get(SERVICE)
    if found is None:
        raise NotTrue("the service is not registered")
    return as_region(Configuration.load(found.document))


def agreed(demo: Demo) -> Rows:
    """What console and region say of the service; NotTrue names the sections in which they differ."""
    console, region = console_rows(demo), demo.region.held(SERVICE)
    if console != region:
        differing = ", ".join(name for name in console if console[name] != region[name])
        raise NotTrue(f"console and region differ in {differing}")
    return console


def _install(demo: Demo) -> None:
    tree = demo.tree(SERVICE)
    tree.mkdir()
    for number in range(200):
        (tree / f"record-{number}").write_text(f"written by version 1, {number}\n" * 50)
    configuration = V1 | {"group_key": APPLICATION, "version": "1.0"}
    data = {"region": "demo", "directory": SERVICE, "configuration": configuration}
    demo.outcome(demo.publish("register-service", data), "registering")
    demo.region.install(SERVICE, SERVICE, console_rows(demo))
    for number in (2, 3):
        data = {"group_key": APPLICATION, "version": f"{number}.0", "template": version(number)}
        demo.outcome(demo.publish("publish-version", data), "publishing a version")
    agreed(demo)
    demo.say("a second service runs version 1.0 in a region (a double, in its own process); 2.0 and 3.0 are published")


def _upgrade(demo: Demo) -> None:
    before, began = agreed(demo), time.monotonic()
    done = demo.outcome(demo.publish("upgrade-service", {"version": "2.0"}), "upgrade to 2.0")
    after = agreed(demo)
    calls = demo.region.calls()
    if after["image"] != "shop:2.0" or calls.count("POST /build") != 1:
        raise NotTrue(f"the region runs {after['image']} after {calls.count('POST /build')} builds")
    if changed := _values_that_changed(before, after):
        raise NotTrue(f"values of the user's were changed: {changed}")
    if not done["figures"]["snapshots"].get(SERVICE):
        raise NotTrue("the upgrade took no snapshot first")
    demo.say(
        f"upgrade-service to 2.0: a snapshot first, then {len(calls) - 1} changes and one build in "
        f"{time.monotonic() - began:.1f} s; the region has what the console says, the user's values are kept"
    )


def _values_that_changed(before: Rows, after: Rows) -> list[str]:
    now = {row["env_name"]: row["env_value"] for row in after["envs"]}
    return [row["env_name"] for row in before["envs"] if now.get(row["env_name"]) != row["env_value"]]


def _refused_half_way(demo: Demo) -> None:
    before, seen = agreed(demo), len(demo.region.calls())
    no_room = {"match": {"method": "POST", "path": "/volumes$"}, "do": {"status": 403, "body": {"msg": "no room left"}}}
    demo.region.script(no_room)
    done = demo.outcome(demo.publish("upgrade-service", {"version": "3.0"}), "upgrade to 3.0", "rolled-back")
    demo.region.script()
    calls = demo.region.calls(since=seen)
    forward = [call for call in calls if "/app-restore/" not in call and not call.startswith("DELETE")]
    if not forward or len(calls) == len(forward):
        raise NotTrue(f"the upgrade was not stopped half-way: {calls}")
    if agreed(demo) != before:
        raise NotTrue("after the failed upgrade the service is not what it was before")
    demo.say(
        f"the region refuses the next upgrade after {len(forward)} changes ({done['code']}): outcome rolled-back, "
        "console = region = before, compared column by column"
    )


def _killed_half_way(demo: Demo) -> None:
    seen = len(demo.region.calls())
    slow = {"match": {"path": "/services/"}, "do": {"action": "apply", "delay_ms": 600}}
    demo.region.script(slow)
    message = demo.publish("upgrade-service", {"version": "3.0", "include_data": True})
    demo.wait_for(lambda: len(demo.region.calls(since=seen)) >= KILLED_AFTER, "the region was not asked")
    demo.kill_node()
    operation = demo.system.database.find_by_message("/demo", message)
    if operation is None or operation.state in ENDED:
        raise NotTrue("the upgrade ended before it could be killed")
    done = len(demo.region.calls(since=seen))
    if console_rows(demo)["image"] != "shop:2.0" or "POST /build" in demo.region.calls(since=seen):
        raise NotTrue("half an upgrade shows")
    demo.region.script()
    demo.say(f"kill -9 of the worker when the region has made {done} changes: the console still says 2.0, all of it")
    began = time.monotonic()
    demo.start_node()
    demo.outcome(message, "upgrade, second worker")
    calls = demo.region.calls(since=seen)
    if agreed(demo)["image"] != "shop:3.0" or calls.count("POST /build") != 1:
        raise NotTrue(f"after the takeover the region made {calls.count('POST /build')} builds")
    demo.say(
        f"another worker finished it in {time.monotonic() - began:.1f} s from the journal: console = region = 3.0, "
        "and exactly one build"
    )


def _roll_back(demo: Demo, before: Rows, wanted: str) -> None:
    tree = demo.tree(SERVICE)
    for number in range(0, 200, 2):
        (tree / f"record-{number}").write_text("migrated by version 3\n")
    (tree / "record-1").unlink()
    if digest(tree) == wanted:
        raise NotTrue("version 3 did not change the data")
    began = time.monotonic()
    demo.outcome(demo.publish("rollback", {"data": True, "reason": "demo"}), "rollback")
    if digest(tree) != wanted:
        raise NotTrue("after the rollback the data differs from what it was before the upgrade")
    if agreed(demo) != before:
        raise NotTrue("after the rollback the service is not what it was before the upgrade")
    demo.say(
        f"rollback with data in {time.monotonic() - began:.1f} s: console, region and every byte of the tree are as "
        "before the upgrade, although version 3.0 had rewritten half of it"
    )
    demo.outcome(demo.publish("upgrade-service", {"version": "3.0"}), "upgrade to a held version", "failed")
    if agreed(demo) != before:
        raise NotTrue("a held version was applied")
    demo.say("3.0 is held for this service from now on: upgrading to it again is refused and changes nothing")
