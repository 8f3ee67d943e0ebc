"""A TCP proxy that strikes at one exchange and leaves all others alone: `HOST PORT`, orders on standard input.

Apart from `tests/fakes/proxy.py`, whose faults come in turn, connection by connection: here a rule says at which
request. It is a program of its own because whoever forks nodes must hold no threads; `wire.py` is its other end.

A rule is `{"match", "port", "nth", "times", "do", …}`; every part may be absent. `match` stands in the first bytes of
what the client sends, `port` is the client's, `nth` counts the requests that both fit, from 1. What it does:

- `lose-request`: both sides are reset, and the server sees nothing of it
- `cut-request`: the server gets so many `bytes` of it, and then an end
- `lose-answer`: the server has answered; the client gets so many `bytes` of that, and is reset
- `answer`: the client gets `text`, and the server sees nothing
- `answer-instead`: the server has answered, and the client gets `text`
- `slow`: from there on the connection waits `seconds` and then passes on `rate` bytes in a second
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
from dataclasses import dataclass, field
from typing import Any

#: Bytes of what a client sends that are looked at, and that are passed on at once.
HEAD, PIECE = 400, 65_536
#: What announces an answer and is none.
_GO_ON = b"HTTP/1.1 100"


@dataclass(eq=False)
class Link:
    """One connection: the client, the server, and what is wrong with it at the moment."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    port: int
    request_left: int | None = None
    answer: dict[str, Any] | None = None
    rate: int = 0

    def reset(self) -> None:
        """Both sides at once, as by a firewall that has forgotten the connection."""
        for one in (self.client, self.server):
            _reset(one)


@dataclass
class Struck:
    """The rules, and what has come of them."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    watch: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    fired: int = 0

    def rule_for(self, data: bytes, port: int) -> dict[str, Any] | None:
        """What shall happen to this request; counts it."""
        head = data[:HEAD].decode("latin-1")
        self.seen += [word for word in self.watch if word in head]
        for rule in self.rules:
            if rule.get("match", "") not in head or rule.get("port", port) != port:
                continue
            rule["count"] = rule.get("count", 0) + 1
            if rule.get("nth", rule["count"]) == rule["count"] and rule.get("times", 1) > rule.get("fired", 0):
                rule["fired"] = rule.get("fired", 0) + 1
                self.fired += 1
                return rule
        return None


class Proxy:
    """In front of one server."""

    def __init__(self, host: str, port: int) -> None:
        self._behind, self._links, self.struck = (host, port), set[Link](), Struck()

    async def serve(self) -> None:
        """Listen, say where, and take orders until there are no more."""
        server = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        orders = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        while line := await orders.readline():
            print(json.dumps(self._ordered(json.loads(line))), flush=True)

    def _ordered(self, order: dict[str, Any]) -> dict[str, Any]:
        if "rules" in order:
            self.struck = Struck(order["rules"], order.get("watch", []))
        for link in list(self._links) if order.get("cut") else ():
            link.reset()
        return {"seen": self.struck.seen, "fired": self.struck.fired, "open": len(self._links)}

    async def _joined(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            answers, server = await asyncio.open_connection(*self._behind)
        except OSError:
            _reset(client)
            return
        link = Link(client, server, client.get_extra_info("peername")[1])
        self._links.add(link)
        both = [asyncio.create_task(self._up(reader, link)), asyncio.create_task(_down(answers, link))]
        try:
            with contextlib.suppress(OSError):
                await asyncio.gather(*both)
        finally:
            for task in both:
                task.cancel()
            self._links.discard(link)
            for one in (client, server):
                one.close()

    async def _up(self, reader: asyncio.StreamReader, link: Link) -> None:
        while data := await reader.read(PIECE):
            rule = self.struck.rule_for(data, link.port) if link.request_left is None else None
            if rule and await _strikes(rule, reader, link):
                return
            if link.request_left is not None:
                data, whole = data[: link.request_left], len(data)
                link.server.write(data)
                link.request_left -= len(data)
                if whole > len(data):
                    link.server.close()  # not reset: what has been sent shall arrive
                    _reset(link.client)
                    return
            else:
                await _pass(data, link.server, link.rate)
        link.server.write_eof()


async def _strikes(rule: dict[str, Any], reader: asyncio.StreamReader, link: Link) -> bool:
    """Whether the connection is over with it."""
    match rule["do"]:
        case "lose-request":
            link.reset()
            return True
        case "cut-request":
            link.request_left = rule["bytes"]
        case "lose-answer" | "answer-instead":
            link.answer = dict(rule)
        case "slow":
            await asyncio.sleep(rule.get("seconds", 0.0))
            link.rate = rule.get("rate", 0)
        case "answer":
            link.client.write(rule["text"].encode())
            link.client.write_eof()
            while await reader.read(PIECE):  # what it still sends; a reset would take the answer from it
                pass
            return True
        case other:
            raise ValueError(f"unknown fault {other}")
    return False


async def _down(reader: asyncio.StreamReader, link: Link) -> None:
    while data := await reader.read(PIECE):
        if link.answer is None or data.startswith(_GO_ON):
            await _pass(data, link.client, link.rate)
        elif link.answer["do"] == "answer-instead":
            link.client.write(link.answer["text"].encode())
            link.client.close()
            return
        else:
            left = link.answer.get("bytes", 0)
            link.client.write(data[:left])
            link.answer["bytes"] = left - len(data)
            if link.answer["bytes"] <= 0:
                await asyncio.sleep(0.01)  # so that what was let through is not taken back by the reset
                link.reset()
                return
    link.client.write_eof()


async def _pass(data: bytes, sink: asyncio.StreamWriter, rate: int) -> None:
    step = max(1, rate // 10) if rate else len(data)
    for start in range(0, len(data), step):
        if rate:
            await asyncio.sleep(0.1)
        sink.write(data[start : start + step])
        await sink.drain()


def _reset(one: asyncio.StreamWriter) -> None:
    found: socket.socket | None = one.get_extra_info("socket")
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.transport.abort()


if __name__ == "__main__":
    asyncio.run(Proxy(sys.argv[1], int(sys.argv[2])).serve())
