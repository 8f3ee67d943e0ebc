"""Commands that carry secrets, given over HTTP: through the API, and by the console's forms from a browser's session.

Apart from the questions because these are taken and carried out: each is waited for, and then what answered it, its
document, its story and its page are searched. What shows somebody a secret of their own (a new token, a session) must
show that one, and no other.
"""

from __future__ import annotations

import json
import re
from typing import Any

from domain.contracts import DeadLetter
from domain.letters import Verdict
from tests.chaos.world import command
from tests.fakes.trees import grow
from tests.prove.answers import Answer, Answers
from tests.prove.bench import SECRET, TENANT, Bench
from tests.prove.commands import told
from tests.waiting import eventually
from workers.command_event import uuid7
from workers.web.credentials import PREFIX

#: The service that they are about, the name of its schedule, and the version that it is upgraded to first.
SERVICE, SCHEDULE, VERSION = "http-secret", "http-nightly", "v2"
#: Seconds for one command to end.
PATIENCE = 120.0
#: What stands for a name in a path as long as there is no such thing.
ABSENT = "none"
NAMES = ("tenant_id", "service_id", "snapshot_id", "operation_id", "dead_letter_id", "fingerprint", "replay_id",
         "token_id", "name", "version")  # fmt: skip


class Given:
    """One run of them; `marks` gets those that the node makes itself."""

    def __init__(self, bench: Bench, answers: Answers, marks: dict[str, str]) -> None:
        self._bench, self._answers, self._marks = bench, answers, marks
        self._cookie = self._csrf = ""
        self.names = dict.fromkeys(NAMES, ABSENT)

    def all(self) -> None:
        """Every one of them to its end."""
        self._log_in()
        self._installed()
        self._upgraded()
        self._kept()
        self._replayed()
        self._new_token()

    def configuration(self, version: str) -> dict[str, Any]:
        """One that holds a secret of every kind."""
        return {
            "group_key": SERVICE, "version": version, "service_key": SERVICE, "build": version,
            "image": f"registry/app:{version}",
            "registry": {"user": "u", "password": self._marks["registry password"]},
            "envs": [{"name": "A", "value": SECRET, "secret": True}, {"name": f"B_{version}", "value": SECRET}],
            "config_files": [{"name": "f", "path": "/etc/f", "content": self._marks["config file"]}],
        }  # fmt: skip

    # ------------------------------------------------------------ what is given
    def _installed(self) -> None:
        grow(self._bench.home / "data" / "apps" / SERVICE, seed=77, files=4)
        data = {"region": "eu-1", "alias": SERVICE, "configuration": self.configuration("v1")}
        self._by_api("register-service", data)
        told(self._bench, SERVICE)
        for version in (VERSION, "v3"):
            template = {"services": {SERVICE: self.configuration(version)}}
            if version == VERSION:
                self._by_api("publish-version", {"group_key": SERVICE, "version": version, "template": template})
            else:
                fields = {"owner": TENANT, "group_key": SERVICE, "version": version, "template": json.dumps(template)}
                self._by_form("publish-version", "/versions", fields)

    def _upgraded(self) -> None:
        self.names["operation_id"] = self._by_api("upgrade-service", {"version": VERSION, "include_data": True})
        self._by_form("upgrade-service", f"/services/{SERVICE}/upgrade", {"version": "v3", "include_data": "true"})
        self._by_api("rollback", {"data": True, "hold": False})

    def _kept(self) -> None:
        snapshot = self._by_api("create-snapshot", {})
        self._by_form("create-snapshot", f"/services/{SERVICE}/snapshot", {"labels": "by:form"})
        of_it = {"snapshot_id": snapshot}
        for kind in ("export-snapshot", "export-record", "restore-snapshot"):
            self._by_api(kind, of_it)
        fields = {"mode": "replace", "service": SERVICE, "typed": SERVICE}
        self._by_form("restore-snapshot", f"/snapshots/{snapshot}/restore", fields)
        self._by_api("set-retention", {"policy": {"last": 5}})
        self._by_api("set-schedule", {"kind": "create-snapshot", "service": SERVICE, "cron": "0 3 1 1 *"}, SCHEDULE)
        path = f"/api/v1/snapshots/{snapshot}/link"
        self._answers.must("POST a link to an archive", self._answers.ask("POST", path, {"seconds": 60}), 200)
        self.names |= of_it | {"name": SCHEDULE, "service_id": SERVICE, "tenant_id": TENANT, "version": "v3"}

    def _replayed(self) -> None:
        """Dead letters with secrets: replayed, and corrected into something that holds more of them."""
        data = {"configuration": self.configuration("v1")}
        self._by_api("register-service", {}, "others", tenant="somebody-else")
        failed = self._by_api("register-service", data, "others", end="failed")
        letter = next(one for one in self._letters() if one.op_id == failed)
        asked = {"dead_letter_ids": [letter.dead_letter_id]}
        include = [Verdict.APPLIED, Verdict.SUPERSEDED, Verdict.DANGEROUS]
        self._answers.must("POST a plan", self._answers.ask("POST", "/api/v1/dead-letters/plan", asked), 200)
        more = asked | {"reason": "search", "include": include}
        begun = self._answers.ask("POST", "/api/v1/replays", more)
        if self._answers.must("POST a replay", begun, 202):
            self.names["replay_id"] = replay = json.loads(begun.body)["replay_id"]
            eventually(lambda: self._document(f"replays/{replay}").get("state") != "RUNNING", PATIENCE, "it is over")
        first, second = [one for one in self._letters() if one.op_id is None][:2]
        corrected = {"reason": "search", "text": self._corrected(first, "by-api")}
        path = f"/dead-letters/{first.dead_letter_id}/edit"
        edited = self._answers.ask("POST", f"/api/v1{path}", corrected)
        if self._answers.must("POST a corrected message through the API", edited, 202):
            self._ended(json.loads(edited.body)["replay_operation_id"], "corrected through the API", "succeeded")
        corrected = {"reason": "search", "text": self._corrected(second, "by-form")}
        self._by_form("a corrected message", f"/dead-letters/{second.dead_letter_id}/edit", corrected)
        letter = next(one for one in self._letters() if one.op_id is None)
        self.names |= {"dead_letter_id": letter.dead_letter_id, "fingerprint": letter.fingerprint}

    def _corrected(self, letter: DeadLetter, service: str) -> str:
        data = {"configuration": self.configuration("v1")}
        event = command("register-service", letter.message_id or "corrected", data)
        return json.dumps(event | {"subject": f"tenant/{TENANT}/service/{service}"})

    def _letters(self) -> list[DeadLetter]:
        return self._bench.system.database.dead_letters.list(resolved=False, limit=100, before=None)

    # ------------------------------------------------------------ the two ways
    def _by_api(
        self, kind: str, data: dict[str, Any], service: str = SERVICE, *, tenant: str = TENANT, end: str = "succeeded"
    ) -> str:
        """The id of its operation, if it was taken."""
        what = f"{kind} of {tenant}'s {service} through the API"
        answer = self._answers.ask("POST", f"/api/v1/tenants/{tenant}/services/{service}/{kind}", data)
        if not self._answers.must(f"POST {what}", answer, 202):
            return ABSENT
        return self._ended(str(json.loads(answer.body)["operation_id"]), what, end)

    def _by_form(self, kind: str, path: str, fields: dict[str, str]) -> None:
        answer = self._post(path, fields | {"message_id": uuid7()})
        what = f"{kind} by the console's form"
        place = f"POST {what}"
        if self._answers.must(place, answer, 303):
            where = re.match(r"/operations/([^?]+)\?told=sent", answer.header("location"))
            if where is None:
                self._answers.fault(f"{place} leads to {answer.header('location')}", place)
            else:
                self._ended(where[1], what, "succeeded")

    def _post(self, path: str, fields: dict[str, str]) -> Answer:
        return self._answers.ask("POST", path, form=fields | {"csrf": self._csrf}, cookie=self._cookie)

    def _ended(self, operation: str, what: str, end: str) -> str:
        """Wait until it has; then everything that is told of it."""
        path = f"operations/{operation}"
        eventually(lambda: self._document(path).get("outcome"), PATIENCE, f"{what} has ended")
        found = self._document(path)["outcome"]
        if found != end:
            self._answers.fault(f"{what} ended as {found} instead of {end}")
        for about in (f"/api/v1/{path}", f"/api/v1/{path}/story", f"/{path}", f"/{path}?part=now"):
            place = f"GET {about.replace(operation, '…')} of {what}"
            self._answers.must(place, self._answers.ask("GET", about, cookie=self._cookie), 200)
        return operation

    def _document(self, path: str) -> dict[str, Any]:
        answer = self._answers.ask("GET", f"/api/v1/{path}")
        return dict(json.loads(answer.body)) if answer.status == 200 else {}

    # ------------------------------------------------------------ sessions and tokens
    def _log_in(self) -> None:
        token = f"{PREFIX}{self._marks['API token']}"
        answer = self._answers.ask("POST", "/login", form={"token": token})
        self._cookie = answer.header("set-cookie").partition(";")[0]
        self._marks["session"] = self._cookie.partition("=")[2] or "no session"
        self._answers.must("POST /login", answer, 303, shows=("session",))
        page = self._answers.ask("GET", "/versions", cookie=self._cookie)
        self._answers.must("GET /versions in a session", page, 200)
        found = re.search(r'name="csrf" value="([^"]+)"', page.body)
        self._csrf = found[1] if found else ""

    def _new_token(self) -> None:
        answer = self._post("/tokens", {"name": "console", "roles": f"viewer:{TENANT}", "days": "1"})
        found = re.search(rf"{PREFIX}([\w-]{{43}})", answer.body)
        self._marks["console token"] = found[1] if found else "no token"
        self._answers.must("POST /tokens by the console's form", answer, 200, shows=("console token",))
        made = next((one for one in self._bench.system.database.tokens.list() if one.name == "console"), None)
        self.names["token_id"] = made.token_id if made is not None else ABSENT

    def log_out(self) -> None:
        """The session ends, and what it sends is refused."""
        self._answers.must("POST /logout", self._post("/logout", {}), 303)


__all__ = ["SERVICE", "Given"]
