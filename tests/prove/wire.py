"""The way to one server as a test sees it: where it begins, what shall happen on it, and what has passed.

Apart from the proxy because that is another process, which must be there before the first node is forked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit


class Wire:
    """`Wire(url)` stands before that server until `close()`; `url` is the way through it."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        assert place.hostname and place.port, f"{url} names no port"
        command = [sys.executable, "-m", "tests.prove.proxy", place.hostname, str(place.port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.here, self._there = f"127.0.0.1:{int(self._said())}", f"{place.hostname}:{place.port}"

    def through(self, url: str) -> str:
        """The same URL, by this way."""
        assert self._there in url
        return url.replace(self._there, self.here)

    def strike(self, *rules: dict[str, Any], watch: tuple[str, ...] = ()) -> None:
        """From now on these rules and no others; `watch` is what `seen` tells of."""
        self._order({"rules": list(rules), "watch": list(watch)})

    def cut(self) -> None:
        """Reset every connection there is."""
        self._order({"cut": True})

    def seen(self) -> list[str]:
        """What was watched for, as often as it was in a request."""
        found: list[str] = self._order({})["seen"]
        return found

    def fired(self) -> int:
        """How often the present rules have struck."""
        return int(self._order({})["fired"])

    def close(self) -> None:
        """The way ends, with everything that is on it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._said())
        return found

    def _said(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the proxy has ended"
        return line
