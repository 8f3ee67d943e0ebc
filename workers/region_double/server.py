"""The double as an HTTP server with kept connections, whose sockets can be cut in the middle of a reply.

Apart from the state, which knows no network. Requests are applied one at a time; the log has them in that order,
with their bodies, because this is a double and holds no real secret.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from workers.region_double.answer import Answer
from workers.region_double.faults import Fault, Script
from workers.region_double.state import FENCE, RegionState

_HANG_SECONDS = 60.0
_NO_REPLY = ("cut-before", "cut-after", "late", "hang")


class RegionServer(ThreadingHTTPServer):
    """Listens at once; `serve_forever` answers. `state_file` keeps the state over restarts; `latency_ms` delays all."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self, address: tuple[str, int], state: RegionState, *, state_file: str = "", latency_ms: int = 0
    ) -> None:
        super().__init__(address, _Handler)
        self.state, self.latency_ms = state, latency_ms
        self.log: list[dict[str, Any]] = []
        self._script, self._lock, self._file = Script([]), threading.Lock(), state_file
        self._token, self._refusal = "", ""
        if state_file and os.path.exists(state_file):
            with open(state_file, encoding="utf-8") as file:
                state.root = json.load(file)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what the double is for."""

    def fault(self, method: str, path: str) -> Fault:
        with self._lock:
            return self._script.fault(method, path) or Fault()

    def refused(self, authorization: str) -> Answer | None:
        """401 for whoever does not have the token that was set; None is let in."""
        with self._lock:
            if not self._token or authorization == self._token:
                return None
            return Answer(401, json.dumps({"msg": self._refusal}).encode())

    def apply(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Let the state answer, log it, keep it."""
        with self._lock:
            answer = self.state.handle(method, path, headers, body)
            self._note(method, path, headers, body, answer.status, applied=answer.status < 300)
            self._save()
            return answer

    def note_unapplied(self, method: str, path: str, headers: dict[str, str], body: bytes, status: int) -> None:
        with self._lock:
            self._note(method, path, headers, body, status, applied=False)

    def control(self, method: str, name: str, body: bytes) -> Answer:
        """`/_double/log|state|script|token|reset`."""
        with self._lock:
            given: Any = json.loads(body) if body else None
            if (method, name) == ("GET", "log"):
                return Answer(200, json.dumps(self.log).encode())
            if (method, name) == ("GET", "state"):
                return Answer(200, json.dumps(self.state.snapshot()).encode())
            if (method, name) == ("GET", "script"):
                return Answer(200, json.dumps({"calls": self._script.calls, "struck": self._script.struck}).encode())
            if method != "POST" or name not in ("script", "state", "token", "reset"):
                return Answer(404)
            if name == "script":
                self._script = Script(given)
            elif name == "state":
                self.state.put(given)
            elif name == "token":
                self._token, self._refusal = given["token"], given["refusal"]
            else:
                self.state.reset()
                self.log, self._script = [], Script([])
            self._save()
            return Answer(200, b"{}")

    def _note(
        self, method: str, path: str, headers: dict[str, str], body: bytes, status: int, *, applied: bool
    ) -> None:
        entry = {"method": method, "path": path, "body": _shown(body), "fence": headers.get(FENCE)}
        self.log.append(entry | {"status": status, "applied": applied})

    def _save(self) -> None:
        if self._file:
            with open(self._file + ".new", "w", encoding="utf-8") as file:
                json.dump(self.state.root, file)
            os.replace(self._file + ".new", self._file)


def _shown(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: RegionServer

    def log_message(self, format: str, *args: Any) -> None:
        """The double's log is data, not lines."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_double/"):
            try:
                self._reply(self.server.control(self.command, self.path.removeprefix("/_double/"), body))
            except (ValueError, KeyError, TypeError) as error:
                self._reply(Answer(400, json.dumps({"msg": str(error)}).encode()))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        if refused := self.server.refused(headers.get("authorization", "")):
            self.server.note_unapplied(self.command, self.path, headers, body, refused.status)
            self._reply(refused)
            return
        fault = self.server.fault(self.command, self.path)
        self._misbehave(fault, (self.command, self.path, headers, body))

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def _misbehave(self, fault: Fault, call: tuple[str, str, dict[str, str], bytes]) -> None:
        if fault.action != "late":
            time.sleep((self.server.latency_ms + fault.delay_ms) / 1000)
        if fault.action in ("cut-before", "hang", "empty-500", "answer"):
            status = {"answer": fault.status, "empty-500": 500}.get(fault.action, 0)
            self.server.note_unapplied(*call, status)
            if fault.action == "hang":
                self._hang()
            self._finish(fault, Answer(status, fault.body, dict(fault.headers)))
        elif fault.action == "late":
            self._cut()
            time.sleep(fault.delay_ms / 1000)
            self.server.apply(*call)
        else:
            self._finish(fault, self.server.apply(*call))

    def _finish(self, fault: Fault, answer: Answer) -> None:
        if fault.action in _NO_REPLY:
            self._cut()
        elif fault.action == "504-applied":
            self._reply(Answer(504))
        elif fault.action == "double-body":
            self._reply(Answer(answer.status, (answer.body or b"{}") + b'{"msg": "second document"}'))
        else:
            self._reply(answer, half=fault.action == "half-body")

    def _reply(self, answer: Answer, *, half: bool = False) -> None:
        body = (answer.body or b"{}") if half else answer.body
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if half else body)
        if half:
            self._cut()

    def _hang(self) -> None:
        self.connection.settimeout(_HANG_SECONDS)
        try:
            self.connection.recv(1)
        except OSError:
            return

    def _cut(self) -> None:
        """A reset, not a polite end."""
        self.close_connection = True
        self.wfile.flush()
        # The handler's own files still hold the socket; only a shutdown reaches the client now, the reset follows.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RDWR)
