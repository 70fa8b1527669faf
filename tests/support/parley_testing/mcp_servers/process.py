"""A real MCP server in a process that a test may kill and start again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

import httpx

from parley_testing.own_path import own_path
from parley_testing.waiting import wait_for

PROGRAM = ("-m", "parley_testing.mcp_servers.program")
"""What Python is told to run."""


class McpProcess:
    """A server over HTTP, on a port that stays the same when it is started again.

    Attributes:
        folder: Where it writes down what it is called with.
        url: Its address.
    """

    def __init__(self, folder: Path) -> None:
        """Keep where it works."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._removed: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/mcp"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, *removed: str) -> None:
        """Start it, without some of its tools, and wait until it serves."""
        self._removed = removed
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", self._port))
            listening.listen()
            self._port = listening.getsockname()[1]
            command = [sys.executable, *PROGRAM, str(self.folder), str(listening.fileno())]
            self._process = subprocess.Popen(
                [*command, *removed],
                pass_fds=[listening.fileno()],
                env=os.environ | own_path(),
            )
        try:
            assert httpx.get(self.url, timeout=300).status_code == 406
        except BaseException:
            self.kill()
            raise

    def renew(self) -> None:
        """Make it as if it had just been started."""
        if self._process is None or self._removed:
            self.kill()
            self.start()
        for file in ("calls", "go"):
            (self.folder / file).unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill it, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def calls(self) -> list[str]:
        """What it was called with so far."""
        return calls_in(self.folder)

    def wait_for_call(self, call: str) -> None:
        """Wait until it is called so."""
        wait_for(lambda: call in self.calls)

    def go(self) -> None:
        """Let its tool `wait` go on."""
        (self.folder / "go").touch()


def calls_in(folder: Path) -> list[str]:
    """What the server that works in a folder was called with."""
    file = folder / "calls"
    return file.read_text().splitlines() if file.exists() else []
