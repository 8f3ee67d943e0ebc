"""`python -m tests.prove.secrets`: every command with marked secrets on one stack, and then a search for each of them.

A node that logs all it can runs every scenario, people give it commands over HTTP and ask everything that can be asked,
and what goes wrong goes wrong with credentials in it; an answer that is not as it must be is a violation. Then what is
left is searched: logs, files, rows, a dump, objects, queues, spans, answers, pages, metrics, bundles. A secret may be
in the message that brings it, until it is taken, where somebody is shown it who may see it, and nowhere else.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kombu import Queue

from domain.audit import Actor
from storage.sealing import KeyRing
from tests.fakes.region import RegionDouble
from tests.integration.test_tracing import listening
from tests.prove.answers import PROGRAM, Answers
from tests.prove.bench import SECRET, Bench
from tests.prove.cases import NO_TIME, Line, case
from tests.prove.commands import SCENARIOS
from tests.prove.given import SERVICE, Given
from tests.prove.questions import ask_commands, ask_routes, ask_without_servers
from tests.prove.scanner import Scanner, files
from tests.prove.stacks import STACKS, stack
from tests.servers.ports import free_ports
from tests.waiting import eventually
from workers.border import EVENTS, connect, inbox
from workers.web import credentials

#: Seconds for all commands to end.
PATIENCE = 120.0
NODE = "chaos-1"
#: Marks that a configuration holds.
CONFIGURED = {"variable", "registry password", "config file"}
#: Marks of what the stacks do not have themselves.
MARKS = {
    "variable": SECRET,
    "registry password": "Hub/pass+word?7f3b",
    "config file": "file-content-canary-7f3c",
    "refused payload": "refused-canary-7f3d",
    "region token": "region-token-canary-7f3e",
    "database password": "database-canary-7f3f",
    "broker password": "broker-canary-7f40",
    "S3 key": "s3-canary-7f41",
    "collector header": "collector-canary-7f42",
}


class Search:
    """One stack, one node, and everything that was told."""

    def __init__(self, bench: Bench, marks: dict[str, str], collector: str, program: Sequence[str]) -> None:
        self.bench, self.marks, self._program = bench, marks, program
        (port,) = free_ports(1)
        (bench.home / "tmp").mkdir()
        regions = json.loads(bench.environment()["BACKSTAY_REGIONS"])
        regions["eu-1"]["token"] = f"Token {marks['region token']}"
        self._environment = bench.environment(
            BACKSTAY_REGIONS=json.dumps(regions), BACKSTAY_LOG_LEVEL="debug", BACKSTAY_NODE=NODE,
            BACKSTAY_HTTP=f"127.0.0.1:{port}", OTEL_EXPORTER_OTLP_ENDPOINT=collector,
            OTEL_EXPORTER_OTLP_HEADERS=f"x-key={marks['collector header']}", TMPDIR=str(bench.home / "tmp"),
        )  # fmt: skip
        token = credentials.new_token()
        marks["API token"] = token.removeprefix(credentials.PREFIX)
        bench.system.database.tokens.create(
            "searcher", credentials.digest(token), {"*": "admin"}, Actor("search", "cli"), None
        )
        self.answers = Answers(port, token, self._environment, program)
        self.told = self.answers.told

    # ------------------------------------------------------------ what is done
    def work(self, names: Iterable[str], *, whole: bool) -> None:
        """These scenarios to their ends, and a service that has every kind of secret; then the questions, only those
        that the node itself answers unless it is the `whole` search."""
        with (self.bench.home / "node.log").open("ab") as log:
            line, environment = [*self._program, "serve"], os.environ | self._environment
            node = subprocess.Popen(line, env=environment, stdout=log, stderr=log)
            try:
                eventually(lambda: self.answers.ask("GET", "/livez").status == 200, 60, "the node serves")
                self._scenarios(list(names))
                self._marked()
                self._given(whole=whole)
            finally:
                node.send_signal(signal.SIGTERM)
                node.wait(60)

    def _given(self, *, whole: bool) -> None:
        """What is given over HTTP; the questions come all the same when that breaks off."""
        given, bad = Given(self.bench, self.answers, self.marks), list[str]()
        case("giving commands over HTTP", given.all, bad)
        self._asked(given.names | {"node": NODE, "verb": "drain", "what": "verify"}, whole=whole)
        case("logging out", given.log_out, bad)
        for sentence in bad:
            self.answers.fault(sentence)

    def _asked(self, names: dict[str, str], *, whole: bool) -> None:
        refused = self.marks["refused payload"]
        ask_routes(self.answers, names, {"data": refused, "reason": refused, "x": SECRET})
        if whole:
            ask_commands(self.answers, names)
            bundle = ("--output", str(self.bench.home / "bundle.tar.gz"), "--log", str(self.bench.home / "node.log"))
            self.answers.run("backstay support-bundle", ["support-bundle", *bundle, "--json"])
            ask_without_servers(self.answers, self._absent())

    def _absent(self) -> dict[str, str]:
        """Credentials of servers that are not there."""
        return {
            "DATABASE_URL": f"postgresql://u:{self.marks['database password']}@127.0.0.1:9/d",
            "BROKER_URL": f"amqp://u:{self.marks['broker password']}@127.0.0.1:9//",
            "BACKSTAY_STORE_URL": "s3://b/p?endpoint=http://127.0.0.1:9&region=x&addressing=path",
            "BACKSTAY_SECRET_KEYS": KeyRing.generate_text(), "AWS_ACCESS_KEY_ID": "AKIAX",
            "AWS_SECRET_ACCESS_KEY": self.marks["S3 key"],
        }  # fmt: skip

    def _scenarios(self, names: list[str]) -> None:
        for number in range(max(len(SCENARIOS[name].stages) for name in names)):
            for name in names:
                if number < len(SCENARIOS[name].stages):
                    SCENARIOS[name].stages[number](self.bench, f"{name}-secret")
            self._over(f"{name}-secret" for name in names)
        for name in names:
            SCENARIOS[name].act(self.bench, f"{name}-secret")
        self._over(f"{name}-secret" for name in names)

    def _over(self, services: Iterable[str]) -> None:
        asked = [message for service in services for message in self.bench.asked(service)]
        eventually(lambda: self.bench.over(asked, self.bench.system), PATIENCE, "all commands have ended")

    def _marked(self) -> None:
        """A configuration with secrets of every kind, and messages that are refused with one in them."""
        configuration = {
            "image": "registry/app:v1", "registry": {"user": "u", "password": self.marks["registry password"]},
            "envs": [{"name": "A", "value": SECRET, "secret": True}],
            "config_files": [{"name": "f", "path": "/etc/f", "content": self.marks["config file"]}],
        }  # fmt: skip
        bench, service = self.bench, "all-secret"
        bench.ask(service, "register-service", {"region": "eu-1", "configuration": configuration})
        self._over([service])
        bench.ask(service, "create-snapshot", {"include": ["configuration"]}, "first")
        self._over([service])
        bench.ask(service, "restore-snapshot", {"snapshot_id": bench.found(service, "first").op_id}, "back")
        self._over([service])
        bad = self.marks["refused payload"]
        bench.ask(service, "create-snapshot", {"labels": bad}, "refused-1")
        bench.ask(service, "create-snapshot", {"unknown": {"password": bad}}, "refused-2")
        bench.ask(service, "register-service", {"configuration": [bad]}, "refused-3")
        eventually(lambda: self._refused() >= 3, 60, "three are refused")

    def _refused(self) -> int:
        letters = self.bench.system.database.dead_letters.list(resolved=False, limit=100, before=None)
        return sum(letter.op_id is None for letter in letters)

    # ------------------------------------------------------------ what is searched
    def listen(self) -> None:
        """Have the broker keep every event for the search."""
        with connect(self.bench.settings.broker_url) as connection:
            _everything(connection).declare()

    def _queued(self) -> None:
        """All events, and whatever still waits to be taken."""
        with connect(self.bench.settings.broker_url) as connection:
            for queue in (_everything(connection), inbox(connection)(connection.default_channel)):
                number = itertools.count()
                while (message := queue.get(no_ack=True)) is not None:
                    self.told[f"queue {queue.name} {next(number)}"] = f"{message.headers} {message.body!r}"
        assert any(place.startswith("queue everything") for place in self.told), "no event was told"

    def _was_told(self, scanner: Scanner) -> None:
        """The secrets were where they belong: in the region, and in a configuration that came over HTTP."""
        if "variable" not in scanner.names(json.dumps(self.bench.region.root()).encode()):
            self.answers.fault("the region was not told the variable")
        found = self.bench.system.database.services.get(SERVICE)
        installed = json.dumps(found.document if found is not None else {}).encode()
        if lacks := CONFIGURED - scanner.names(installed):
            self.answers.fault(f"the configuration of {SERVICE} lacks {sorted(lacks)}, which were given over HTTP")

    def search(self, spans: Iterable[bytes]) -> tuple[int, list[str]]:
        """How many places, without those that did not answer; what was found in them, and what did not answer."""
        self._queued()
        self.told |= {f"span {number}": body for number, body in enumerate(spans)}
        self.told.update(files(self.bench.home))
        self.told["dump of the database"] = _dump(self.bench.settings.database_url)
        for info in self.bench.system.store.list("tenants/"):
            self.told[f"object {info.key}"] = self.bench.system.store.get(info.key)
        scanner = Scanner(self.marks)
        self._was_told(scanner)
        found = scanner.places(self.told.items()) + self.answers.shown_wrongly(scanner) + self.answers.wrong
        return len(self.told) - self.answers.unanswered, found


def _everything(connection: Any) -> Any:
    return Queue("everything", EVENTS, routing_key="#", durable=True)(connection.default_channel)


def _dump(url: str) -> bytes:
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        try:
            return "\n".join(connection.iterdump()).encode()
        finally:
            connection.close()
    tool = max(Path("/usr/lib/postgresql").glob("*/bin/pg_dump"))
    plain = re.sub(r"^postgresql\+\w+", "postgresql", url)
    return subprocess.run([tool, f"--dbname={plain}"], capture_output=True, check=True).stdout


def _with_password(url: str, password: str) -> str:
    """The servers under proof trust everybody, so that any password is as good as another."""
    return re.sub(r"//([^:@/]+)@", rf"//\1:{password}@", url, count=1)


def searched(
    name: str, home: Path, names: Iterable[str] = SCENARIOS, *, whole: bool = True, program: Sequence[str] = PROGRAM
) -> tuple[int, list[str]]:
    """How many places were searched on that stack, and what was found; `program` is Backstay's command line."""
    with stack(name, home) as (given, _), RegionDouble(fenced=True) as region, listening() as (collector, requests):
        marks, environment = dict(MARKS), dict(given)
        if "DATABASE_URL" in environment:
            environment["DATABASE_URL"] = _with_password(environment["DATABASE_URL"], marks["database password"])
            marks["S3 key of the stack"] = os.environ["AWS_SECRET_ACCESS_KEY"]
        ring = environment.setdefault("BACKSTAY_SECRET_KEYS", KeyRing.generate_text())
        marks["key ring"] = ring.partition(":")[2].rstrip("=")
        made = Search(Bench(home / "run", region, environment), marks, collector, program)
        try:
            made.listen()
            made.work(names, whole=whole)
            return made.search(request.body for request in requests)
        finally:
            made.bench.close()


def secrets(seconds: float, lines: list[Line]) -> None:
    """The whole search on one stack after the other, in a drawn order, as long as there is time; on one at least."""
    over = time.monotonic() + seconds
    for number, name in enumerate(random.sample(list(STACKS), len(STACKS))):
        proof = f"search for secrets: {STACKS[name]}"
        if number and time.monotonic() > over:
            lines.append(Line(proof, NO_TIME, 0))
            continue
        home = Path(tempfile.mkdtemp(prefix="secrets-"))
        try:
            places, found = searched(name, home)
        finally:
            shutil.rmtree(home, ignore_errors=True)
        done = "every command, route and question; objects, rows, logs, queues, spans, pages, bundles"
        lines.append(Line(proof, done, 0, tuple(found), f"{places} places"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.prove.secrets", description=__doc__)
    parser.add_argument("--stack", choices=list(STACKS), action="append")
    bad = False
    for name in parser.parse_args().stack or list(STACKS):
        home, began = Path(tempfile.mkdtemp(prefix="secrets-")), time.monotonic()
        places, found = searched(name, home)
        print(f"{STACKS[name]}: {places} places in {time.monotonic() - began:.0f} s, {len(found)} violations")
        print(*(f"VIOLATION {one}" for one in found), sep="\n", end="\n" if found else "", flush=True)
        bad = bad or bool(found)
        if not found:
            shutil.rmtree(home, ignore_errors=True)
    return 1 if bad else 0


__all__ = ["searched", "secrets"]

if __name__ == "__main__":
    sys.exit(main())
