"""The way from a container to this machine."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import platform
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]
from docker.errors import (  # type: ignore[import-untyped]
    DockerException,
    ImageNotFound,
)

from parley.errors import ParleyError

HOST_NAME = "host.docker.internal"
"""What containers call this machine."""


class NoDocker(ParleyError):
    """There is no engine that answers; the message says why."""


@dataclass(frozen=True)
class Bridge:
    """How containers reach this machine.

    Attributes:
        address: Where a server must listen to be reached, and by nobody from outside.
        add_host: What containers must be told of `HOST_NAME`; None where the engine does that.
        image_is_there: Whether the runtime's image need not be fetched.
    """

    address: str
    add_host: str | None
    image_is_there: bool


def architecture() -> str:
    """Return this machine's, as Lambda names it."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def find_bridge(image: str) -> Bridge:
    """Ask the engine.

    Args:
        image: The runtime's image.

    Raises:
        NoDocker: No engine answers.
    """
    try:
        client = docker.from_env()
        try:
            gateway = _gateway(client.networks.get("bridge").attrs)
            try:
                client.images.get(image)
                there = True
            except ImageNotFound:
                there = False
        finally:
            client.close()
    except DockerException as error:
        raise NoDocker(str(error)) from error
    if gateway is not None and _is_ours(gateway):
        return Bridge(gateway, gateway, there)
    # Docker Desktop's engine is in a machine of its own, which knows the name and leads it here.
    return Bridge("127.0.0.1", None, there)


def _gateway(network: dict[str, Any]) -> str | None:
    for entry in network.get("IPAM", {}).get("Config") or []:
        if "Gateway" in entry and ":" not in entry["Gateway"]:
            return str(entry["Gateway"])
    return None


def _is_ours(address: str) -> bool:
    """Return whether a server of this machine can listen on the address."""
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return False
            raise
        return True


@asynccontextmanager
async def door(address: str, to: Path) -> AsyncIterator[int]:
    """Lead connections to a Unix socket on, and return the port; until the block is left.

    The embedded PostgreSQL listens on no port, so that only this user can reach it. While the door
    is open, whoever reaches the address can too.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_unix_connection(to)
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        writer.close()

    server = await asyncio.start_server(serve, address, 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])
        server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
