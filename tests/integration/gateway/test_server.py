"""The socket that the gateway listens on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from parley_local.server import PortInUse, listen, url_of


async def test_connections_answer_without_nagles_delay() -> None:
    seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        seen.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with listen("127.0.0.1", 0) as listener:
        server = await asyncio.start_server(accept, sock=listener)
        _, writer = await asyncio.open_connection(*listener.getsockname())
        async with server:
            assert await asyncio.wait_for(seen, 5) != 0
        writer.close()
        await writer.wait_closed()


def test_the_address_is_one_to_paste() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_taken_port_is_named() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortInUse) as caught:
            listen("127.0.0.1", port)

    assert caught.value.port == port
