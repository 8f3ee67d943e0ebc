"""What a node and the command line answer to the search for secrets, and what they should have answered.

Apart from what is asked, because an answer that did not come holds no secret either: each question says how it must be
answered, and one that is answered otherwise is a violation, told by its name, and no place that was searched.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.prove.scanner import Scanner

#: Seconds for one answer, and for one command.
PATIENCE = 120.0
#: Backstay's command line.
PROGRAM = (sys.executable, "-m", "workers")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back of a request; with the status 0 nothing did, and the body says why."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: str

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.headers}\n{self.body}"

    def header(self, name: str) -> str:
        """The first of that name, which is given in lower case; "" without one."""
        return next((value for known, value in self.headers if known.lower() == name), "")


class Answers:
    """Asks the node at that port, as the owner of that token, and the command line with that environment."""

    def __init__(self, port: int, token: str, environment: Mapping[str, str], program: Sequence[str] = PROGRAM) -> None:
        self._port, self._environment, self._program = port, environment, program
        self._key = {"authorization": f"Bearer {token}"}
        self.told: dict[str, bytes | str] = {}
        self._wrong: dict[str, str] = {}
        self._shown: dict[str, tuple[str, set[str]]] = {}

    @property
    def wrong(self) -> list[str]:
        """What was not answered as it must be."""
        return list(self._wrong.values())

    @property
    def unanswered(self) -> int:
        """How many of what was told are no answers."""
        return len(self.told.keys() & self._wrong.keys())

    # ------------------------------------------------------------ the node
    def ask(
        self, method: str, path: str, data: Any = None, *, form: Mapping[str, str] | None = None, cookie: str = ""
    ) -> Answer:
        """One request: `data` goes as JSON, `form` as a form; with a cookie it is a browser's, without a token."""
        headers = {"accept": "text/html"} | ({"cookie": cookie} if cookie else self._key)
        body: str | None = None
        if form is not None:
            body, headers["content-type"] = urlencode(form), "application/x-www-form-urlencoded"
        elif data is not None:
            body, headers["content-type"] = json.dumps(data), "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read().decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, (), f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    def must(self, place: str, answer: Answer, *statuses: int, shows: Sequence[str] = ()) -> bool:
        """Whether it has one of these statuses. It is kept for the search either way, unless it is there to show
        somebody these marks: then it must show them, and no others."""
        right = answer.status in statuses
        if right and shows:
            self._shown[place] = answer.text, set(shows)
            return True
        self.told[place] = answer.text
        if not right:
            said = f"{answer.status}" if answer.status else f"nothing ({answer.body})"
            self.fault(f"{place} answered {said} instead of {' or '.join(map(str, statuses))}", place)
        return right

    def fault(self, sentence: str, place: str = "") -> None:
        """Keep a violation; of what was told at a place, which then counts as none."""
        self._wrong[place or sentence] = sentence

    def shown_wrongly(self, scanner: Scanner) -> list[str]:
        """Where something else was shown than what is there to be shown."""
        found = {place: (scanner.names(text.encode()), wanted) for place, (text, wanted) in self._shown.items()}
        return [
            f"{place} shows {sorted(shown)} instead of {sorted(wanted)}"
            for place, (shown, wanted) in found.items()
            if shown != wanted
        ]

    # ------------------------------------------------------------ the command line
    def run(self, place: str, words: Sequence[str], code: int = 0, **more: str) -> None:
        """One command, which must end with that code; `more` is set in its environment."""
        environment = os.environ | dict(self._environment) | {"BACKSTAY_HTTP": "127.0.0.1:0"} | more
        try:
            done = subprocess.run([*self._program, *words], env=environment, capture_output=True, timeout=PATIENCE)
            said, ended = done.stdout + done.stderr, f"ended with {done.returncode}"
        except subprocess.TimeoutExpired as late:
            said, ended = (late.stdout or b"") + (late.stderr or b""), f"had not ended after {PATIENCE:.0f} s"
        self.told[place] = said
        if ended != f"ended with {code}":
            last = said.decode("utf-8", "replace").strip().rpartition("\n")[2][-200:]
            self.fault(f"{place} {ended} instead of {code}{f': {last}' if last else ''}", place)


__all__ = ["PROGRAM", "Answer", "Answers"]
