"""What runs inside the previous release: a program that forks its nodes, its commands and its claims on request.

A script and no module, because the packages that it imports are those of another release, found by PYTHONPATH; only
what releases have in common may be used. One process that has imported everything, because forking it costs
milliseconds. Requests and answers are lines of JSON; nothing here waits for longer than the request says.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import handlers
from domain import failpoint
from domain.errors import InvalidMessage
from domain.message import Envelope
from storage.sealing import KeyRing
from storage.sql import open_database
from storage.sql.tables import metadata
from workers import broker, relay
from workers.bootstrap import check_packages, version
from workers.cli.app import build
from workers.config import load
from workers.judge import judge_with
from workers.runtime import run_worker


def about(_: dict[str, Any]) -> dict[str, Any]:
    """Which release this is; the tables and columns, and the commands and fields, that it knows."""
    check_packages()
    tables = {name: [column.name for column in table.columns] for name, table in metadata.tables.items()}
    kinds = {name: list(one.model.model_fields) for name, one in handlers.subscriptions().items()}
    return {"version": version(), "tables": tables, "kinds": kinds}


def understands(asked: dict[str, Any]) -> dict[str, Any]:
    """Whether the door of this release takes a command of that kind with that data."""
    subscription = handlers.subscriptions().get(asked["kind"])
    try:
        if subscription is not None:
            handlers.parse(subscription, asked["data"])
    except InvalidMessage:
        subscription = None
    return {"understood": subscription is not None}


def digest(asked: dict[str, Any]) -> dict[str, Any]:
    """What its door recognises a repeated message by."""
    judged = judge_with(handlers.subscriptions())(Envelope(asked["body"].encode()))
    return {"digest": getattr(judged, "request_hash", None)}


def node(asked: dict[str, Any]) -> dict[str, Any]:
    """Start a node as `backstay worker` does; it dies by SIGKILL when it reaches `death` for the n-th time."""

    def run() -> int:
        relay.HOLD_MS = 500  # what a killed relay held is told soon
        relay.POLL_SECONDS = broker.POLL_SECONDS = 0.1
        _arm(asked.get("death"))
        return run_worker(load(asked["environ"]), http=asked.get("http"), migrate=False)

    return {"pid": _forked(run, asked["log"])}


def command(asked: dict[str, Any]) -> dict[str, Any]:
    """Run a command line to its end."""

    def run() -> int:
        out = io.StringIO()
        os.environ.update(asked["environ"])
        with redirect_stdout(out), redirect_stderr(out):
            try:
                build()(asked["arguments"])
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
        sys.stdout.write(out.getvalue())
        return code

    return {"pid": _forked(run, asked["log"])}


def wait(asked: dict[str, Any]) -> dict[str, Any]:
    """How a process ended: its exit code, or the signal below zero."""
    return {"code": os.waitstatus_to_exitcode(os.waitpid(asked["pid"], 0)[1])}


def claim(asked: dict[str, Any]) -> dict[str, Any]:
    """Take what this release's claim takes on that node, and keep it."""
    database = open_database(asked["url"], KeyRing.parse(asked["keys"]))
    # Twice: a claim begins with the node's own work and with everybody's by turns.
    taken = [claim for _ in range(2) for claim in database.ledger.claim(asked["node"], asked["owner"], 8, 60_000)]
    database.close()
    return {"operations": [one.operation.op_id for one in taken]}


def _forked(run: Callable[[], int], log: str) -> int:
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(file, 1)
            os.dup2(file, 2)
            code = run()
        except BaseException:  # noqa: BLE001 - the child must never return into the loop of requests
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return pid


def _arm(death: list[Any] | None) -> None:
    seen: Counter[str] = Counter()

    def hook(name: str) -> None:
        seen[name] += 1
        if death is not None and [name, seen[name]] == death:
            os.kill(os.getpid(), signal.SIGKILL)

    failpoint.hook = hook


ANSWERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "about": about,
    "understands": understands,
    "digest": digest,
    "node": node,
    "command": command,
    "wait": wait,
    "claim": claim,
}

if __name__ == "__main__":
    for line in sys.stdin:
        request = json.loads(line)
        answer = ANSWERS[request["do"]](request)
        print(json.dumps(answer), flush=True)
