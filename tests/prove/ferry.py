"""From an address that other network namespaces reach to servers on loopback: `ADDRESS PORT…`, the same ports on both.

A program of its own, because whoever starts it may fork. It knows of no faults: those are done to the network.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from functools import partial

PIECE = 65_536


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _joined(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        answers, server = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.transport.abort()
        return
    await asyncio.gather(_pass(reader, server), _pass(answers, writer))


async def _serve(address: str, ports: list[int]) -> None:
    servers = [await asyncio.start_server(partial(_joined, port), address, port) for port in ports]
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], [int(port) for port in sys.argv[2:]]))
