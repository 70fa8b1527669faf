"""A relay before a server: it counts round trips, and lets each last longer.

    python -m bench.relay 127.0.0.1:5432
    python -m bench.relay /tmp/x/.s.PGSQL.5432

It runs as a process of its own. The first line on standard output is its port; after that each line
on standard input is a command: `{"milliseconds": 1}` sets how much longer a round trip lasts from
now on, and every command is answered with the round trips since the one before.

A round trip is whatever a client sends after an answer, until the next: of Postgres's protocol,
Redis's and HTTP's alike, as long as nobody sends ahead. Opening a connection counts as well.
"""

from __future__ import annotations

import asyncio
import json
import sys


class Relay:
    """Forwards connections to one server."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._seconds = 0.0
        self._round_trips = 0

    async def serve(self) -> None:
        """Forward until standard input ends."""
        listening = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        print(listening.sockets[0].getsockname()[1], flush=True)
        loop = asyncio.get_running_loop()
        while command := await loop.run_in_executor(None, sys.stdin.readline):
            self._seconds = json.loads(command).get("milliseconds", self._seconds * 1000) / 1000
            print(self._round_trips, flush=True)
            self._round_trips = 0
        listening.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server: asyncio.StreamWriter
        if self._server.startswith("/"):
            from_server, to_server = await asyncio.open_unix_connection(self._server)
        else:
            host, _, port = self._server.rpartition(":")
            from_server, to_server = await asyncio.open_connection(host, int(port))
        answered = True

        async def ask() -> None:
            nonlocal answered
            while data := await reader.read(65536):
                if answered:
                    answered = False
                    self._round_trips += 1
                    if self._seconds:
                        await asyncio.sleep(self._seconds)
                to_server.write(data)
                await to_server.drain()

        async def answer() -> None:
            nonlocal answered
            while data := await from_server.read(65536):
                answered = True
                writer.write(data)
                await writer.drain()

        ways = [asyncio.ensure_future(ask()), asyncio.ensure_future(answer())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.close()
            to_server.close()


if __name__ == "__main__":
    asyncio.run(Relay(sys.argv[1]).serve())
