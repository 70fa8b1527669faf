"""The HTTP server that carries the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from parley.errors import ParleyError
from parley_local.own_hosts import OwnHosts

_GRACE_SECONDS = 3


class PortInUse(ParleyError):
    """Somebody else listens on the port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is in use")
        self.port = port


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever started the server, who has more than a server to stop."""
        yield


class _WithoutCancelled(logging.Filter):
    """Keeps from the log that requests were cut off at the server's end, which is no error."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


_WITHOUT_CANCELLED = _WithoutCancelled()


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 is any free one.

    Raises:
        PortInUse: The port is taken.
        OSError: The address cannot be listened on for another reason.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP on purpose: only then does asyncio turn off Nagle's delay, 40 ms a response.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(port) from None
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address at which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Serve the app, under loopback's names only.

    At the end, requests under way have three seconds to finish.

    Yields:
        The server's task, once it takes requests; it ends early only if the server fails.
    """
    config = uvicorn.Config(
        OwnHosts(app),
        access_log=False,
        log_config=None,
        lifespan="off",
        server_header=False,
        ws="none",
        # What came with X-Forwarded-For did not come through a proxy of ours.
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = _Server(config)
    # For good: what was cancelled at the server's end is logged when the server is gone.
    logging.getLogger("uvicorn.error").addFilter(_WITHOUT_CANCELLED)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        yield task
    finally:
        ready.cancel()
        server.should_exit = True
        await task
