"""What can be asked of a node and of the command line without changing anything, and how each must be answered.

Apart from the search because these are lists: routes and commands are read from the program, so that a new one is asked
too, and what may not answer as the others stands here with its reason. A question that says what is wrong with it is
asked as well, with secrets in it: what is refused is told, too.
"""

from __future__ import annotations

from typing import Any

from tests.command_line import all_commands
from tests.integration.test_web_tenants import OPEN, ROUTES
from tests.prove.answers import Answers

#: Path -> what has to be said besides.
QUERIES = {
    "/api/v1/services/{service_id}/plans/upgrade": "?version={version}",
    "/api/v1/versions": "?tenant={tenant_id}",
    "/services/{service_id}/upgrade": "?version={version}",
}
#: Where who may change the message of a dead letter is shown it, with what is secret in it.
SHOWN = ("/api/v1/dead-letters/{dead_letter_id}/message", "/dead-letters/{dead_letter_id}/edit")
#: What is served besides, without a login.
OPENLY = (*sorted(OPEN - {"/logout", "/static/{name}"}), "/static/console.js")
#: What answers something else than 200, and why.
OTHERWISE = {"/exports/{snapshot_id}": (403, "its address is signed, and this one is not")}
#: What is wrong with a request is said with one of these.
REFUSED = (409, 422)
#: Forms without a field that must be filled in: they do what they are for, or say that there is nothing to do.
TAKEN = {
    "/operations/{operation_id}/cancel": (303, "it has ended, which the page says"),
    "/dead-letters/replays/{replay_id}/stop": (303, "the same"),
    "/snapshots/{snapshot_id}/link": (200, "the page again, with the address"),
}
#: Commands that only look, and what has to be named.
BY_NAME: dict[str, tuple[str, ...]] = {
    "operations show": ("{operation_id}",),
    "operations explain": ("{operation_id}",),
    "dead-letters show": ("{dead_letter_id}",),
    "dead-letters replays": (),
    "snapshots show": ("{snapshot_id}",),
    "snapshots diff": ("{snapshot_id}",),
    "snapshots link": ("{snapshot_id}", "--tenant", "{tenant_id}"),
    "snapshots import-list": ("old",),
    "retention plan": ("{service_id}",),
    "schedules show": ("{name}", "--tenant", "{tenant_id}"),
    "schedules history": ("{name}", "--tenant", "{tenant_id}"),
    "nodes show": ("{node}",),
    "services show": ("{service_id}",),
    "versions list": ("--tenant", "{tenant_id}"),
    "plan upgrade": ("{service_id}", "--version", "{version}"),
    "plan rollback": ("{service_id}",),
}
#: Commands that change something, and are not asked: what they publish is a command, and those are given besides; or
#: they are for secrets, or do not end.
ACTS = frozenset(
    {"serve", "worker", "web", "migrate", "publish", "demo", "config new-key", "operations watch", "operations cancel",
     "operations resolve", "operations move", "operations give-up", "dead-letters replay", "dead-letters stop",
     "dead-letters edit", "snapshots delete", "snapshots verify", "snapshots pin", "snapshots unpin",
     "snapshots export", "snapshots import", "snapshots import-rosti", "snapshots export-record",
     "snapshots import-record", "retention set", "retention remove", "retention apply", "schedules set",
     "schedules pause", "schedules resume", "schedules remove", "rpo set", "rpo remove", "drills run", "store repack",
     "history prune", "nodes drain", "nodes undrain", "nodes forget", "nodes evacuate", "services apply",
     "versions publish", "keys destroy", "tokens create", "tokens revoke", "support-bundle"}
)  # fmt: skip
#: What ends with another code than 0, and why.
UNSAID = {
    "dead-letters discard": (2, "no letter is named"),
    "snapshots create": (2, "no service is named"),
    "snapshots restore": (2, "no snapshot is named"),
    "keys rotate": (1, "the ring is configured, and only who configures it can change it"),
}
#: Commands to which no server answers, and to which the address of the database is none: how they end then.
WITHOUT_SERVERS = {
    "doctor": (1, 1), "migrate": (75, 1), "operations list": (75, 1), "config show": (0, 0), "worker": (75, 1),
}  # fmt: skip


def ask_routes(answers: Answers, names: dict[str, str], bad: dict[str, Any]) -> None:
    """Every route with these names in its path; what is posted is `bad`, which no route takes."""
    for method, path in [*ROUTES, *(("GET", path) for path in (*OPENLY, *OTHERWISE))]:
        place = f"{method} {path}"
        asked = (path + QUERIES.get(path, "")).format(**names)
        if method == "GET":
            shows = ("refused payload",) if path in SHOWN else ()
            answers.must(place, answers.ask("GET", asked), OTHERWISE.get(path, (200, ""))[0], shows=shows)
        else:
            answers.must(place, answers.ask(method, asked, bad), *(TAKEN[path][:1] if path in TAKEN else REFUSED))


def commands() -> dict[str, bool]:
    """Every command of the command line, and whether something has to be named."""
    return {path: any(one.required for one in command.params) for path, command in all_commands()}


def ask_commands(answers: Answers, names: dict[str, str]) -> None:
    """Every command that only looks; one that has to be told something and is not says so."""
    for command in commands():
        if command not in ACTS:
            named = [word.format(**names) for word in BY_NAME.get(command, ())]
            code = UNSAID.get(command, (0, ""))[0]
            answers.run(f"backstay {command}", [*command.split(), *named, "--json"], code)


def ask_without_servers(answers: Answers, absent: dict[str, str]) -> None:
    """With credentials of servers that are not there, and with an address that cannot be read."""
    broken = absent | {"DATABASE_URL": absent["DATABASE_URL"].replace(":9/", ":x/")}
    for command, codes in WITHOUT_SERVERS.items():
        for how, code, more in zip(("without servers", "without an address"), codes, (absent, broken), strict=True):
            answers.run(f"backstay {command} {how}", [*command.split(), "--json"], code, **more)


__all__ = ["ACTS", "BY_NAME", "UNSAID", "ask_commands", "ask_routes", "ask_without_servers", "commands"]
