"""Which commands there are, and which file has each: a table that is read without importing any of them.

Apart from app.py because it is data: a new command or group is a row here, and its examples a row in
examples.py. What is said of each stands here too, so that `backstay --help` imports no command.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Branch:
    """One word after `backstay`: the files in `workers.cli` that make it, and what it is."""

    about: str
    modules: tuple[str, ...]
    group: bool = True


def _command(about: str, module: str) -> Branch:
    return Branch(about, (module,), group=False)


def _group(about: str, *modules: str) -> Branch:
    return Branch(about, modules)


#: In the order of `backstay --help`. A group's commands stand in the order of its modules.
BRANCHES: dict[str, Branch] = {
    "serve": _command("run everything in one process: migrate, worker, HTTP", "node"),
    "worker": _command("run this node: intake, executors, relay, sweeper", "node"),
    "web": _command("serve the HTTP API and the console, without working", "node"),
    "migrate": _command("bring the database's schema up to date", "node"),
    "publish": _command("send any command; with --wait follow it to its outcome", "publish"),
    "operations": _group("what is going on, why it waits, how it ended", "operations", "explaining", "moving"),
    "dead-letters": _group("messages and operations that need a person", "dead_letters", "again", "editing"),
    "snapshots": _group(
        "find, make, restore and delete snapshots", "snapshots", "exporting", "importing", "records"
    ),
    "retention": _group("which snapshots of a service are kept", "retention"),
    "schedules": _group("what is asked for by itself, and when", "schedules"),
    "rpo": _group("how much of each service would be lost now", "rpo"),
    "drills": _group("restores to a scratch place, measured", "drills"),
    "store": _group("the room that snapshots take in the store", "store"),
    "history": _group("what has ended long ago, and forgetting it", "history"),
    "catalogue": _group("the index of snapshots against what lies in the store", "catalogue"),
    "nodes": _group("which nodes there are, and taking one out of work and back", "nodes", "evacuating"),
    "services": _group("make services known, and look at them", "services"),
    "versions": _group("publish versions of applications, and look at them", "versions"),
    "plan": _group("what an upgrade or a rollback would do", "plan"),
    "keys": _group("the key ring, and the keys of tenants", "keys"),
    "tokens": _group("who may use the HTTP API and the console", "tokens"),
    "audit": _group("who changed what, when and why", "audit"),
    "config": _group("the configuration in effect, and where it is from", "config"),
    "doctor": _command("check every part, with the next step for each finding", "doctor"),
    "support-bundle": _command("one file for whoever helps, without secrets", "support_bundle"),
    "replicas": _command("how far each further store of snapshots is", "replicas"),
    "messages": _command("the message types, with examples and schemas", "messages"),
    "schema": _command("the JSON Schema of what a command answers with --json", "schema"),
    "completion": _group("completion of commands and options, for a shell", "completion"),
    "demo": _command("the promise shown on a real tree, kill -9 included", "demo"),
}  # fmt: skip
