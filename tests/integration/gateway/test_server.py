"""The socket that the gateway listens on."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from starlette.responses import PlainTextResponse

from parley_local.server import PortInUse, listen, serving, url_of
from parley_testing.waiting import HANG_SECONDS


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
            assert await asyncio.wait_for(seen, HANG_SECONDS) != 0
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


async def answer(host: str) -> httpx.Response:
    """What a server on loopback answers to a request with this Host header."""
    with listen("127.0.0.1", 0) as listener:
        async with (
            serving(PlainTextResponse("for you"), listener),
            httpx.AsyncClient(
                base_url=url_of(listener), trust_env=False, timeout=HANG_SECONDS
            ) as client,
        ):
            return await client.get("/", headers={"Host": host})


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:3000", "127.0.0.1:1", "[::1]:3000", "[::1]", "parley.localhost:3000"],
)
async def test_a_request_to_one_of_loopbacks_names_is_answered(host: str) -> None:
    assert (await answer(host)).text == "for you"


@pytest.mark.parametrize(
    "host",
    [
        *("rebound.example.com", "rebound.example.com:3000", "localhost.example.com", ""),
        *("notlocalhost", "127.0.0.1.example.com:80", "192.168.1.7:3000", "localhost:x", "0.0.0.0"),
    ],
)
async def test_a_request_to_another_name_is_refused_whoever_led_it_here(host: str) -> None:
    response = await answer(host)

    assert response.status_code == 421
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "foreign_host"
    assert "for you" not in response.text


async def test_a_request_with_two_names_is_refused() -> None:
    with listen("127.0.0.1", 0) as listener:
        async with serving(PlainTextResponse("for you"), listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: rebound.example.com\r\n\r\n")
            status = await reader.readline()
            writer.close()
            await writer.wait_closed()

    assert status.split()[1] in (b"400", b"421")
