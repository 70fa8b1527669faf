"""Messages between the gateway and an execution environment: a length, then JSON."""

from __future__ import annotations

import json
import socket
from asyncio import StreamReader
from typing import Any

_LENGTH = 4


def pack(message: Any) -> bytes:
    """Return the message as bytes for the wire.

    Raises:
        TypeError, ValueError: The message is no JSON.
    """
    body = json.dumps(message).encode()
    return len(body).to_bytes(_LENGTH, "big") + body


async def read(reader: StreamReader) -> Any:
    """Return the next message.

    Raises:
        asyncio.IncompleteReadError: The other side is gone.
    """
    length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
    return json.loads(await reader.readexactly(length))


def receive(connection: socket.socket) -> Any:
    """Wait for the next message and return it.

    Raises:
        EOFError: The other side is gone.
    """
    length = int.from_bytes(_exactly(connection, _LENGTH), "big")
    return json.loads(_exactly(connection, length))


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = connection.recv(min(count - len(parts), 1 << 20))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
