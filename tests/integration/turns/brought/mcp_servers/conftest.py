"""Agents with an MCP server: a real one, over HTTP or over its pipes, or one that means harm."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import Agent
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp

from parley.turns.context import TurnContext
from parley_testing.mcp_servers.process import PROGRAM, McpProcess
from parley_testing.mcp_servers.stand_in import McpStandIn
from parley_testing.own_path import own_path

_LANGUAGE = {"LANG": os.environ["LANG"]} if "LANG" in os.environ else {}
"""What a forked process has to be told as the one that it is forked from."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpProcess]:
    """A server over HTTP: to start one takes seconds."""
    with McpProcess(tmp_path_factory.mktemp("mcp")) as process:
        yield process


@pytest.fixture
def server(kept: McpProcess) -> McpProcess:
    """A server over HTTP, which runs, and was not called yet."""
    kept.renew()
    return kept


@pytest.fixture
def hostile() -> Iterator[McpStandIn]:
    """A server that does what a test has it do."""
    with McpStandIn() as server:
        yield server


@pytest.fixture
def agent_of() -> Callable[..., Agent[TurnContext]]:
    """Makes agents of a server over HTTP, as a process of Parley's builds them."""

    def make(url: str, fields: dict[str, Any] | None = None, **options: Any) -> Agent[TurnContext]:
        given = MCPServerStreamableHttp(
            {"url": url}, name="tested", client_session_timeout_seconds=None, **options
        )
        return Agent[TurnContext](name="one", mcp_servers=[given], **(fields or {}))

    return make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the server over pipes works."""
    folder = tmp_path / "stdio"
    folder.mkdir()
    return folder


@pytest.fixture
def stdio_agent(folder: Path) -> Agent[TurnContext]:
    """An agent of a server that is a process of its own process's."""
    given = MCPServerStdio(
        {
            "command": sys.executable,
            "args": [*PROGRAM, str(folder)],
            "env": {"SEEN": "yes", **own_path(), **_LANGUAGE},
        },
        name="piped",
        client_session_timeout_seconds=None,
    )
    return Agent[TurnContext](name="one", mcp_servers=[given])
