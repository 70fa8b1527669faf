"""A port for a server that a test starts, which nobody else is given until it listens there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port() -> Iterator[int]:
    """Hold a free port of loopback's for the block.

    The kernel gives it to nobody who asks for any port, to listen on or to connect from, and a
    server that is told its number can listen there, if it sets SO_REUSEADDR as most do. Once it
    listens the block may end.

    Yields:
        Its number.
    """
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(("127.0.0.1", 0))
        yield place.getsockname()[1]
