"""An MCP server is asked with what the packages hold, and not with what this machine has."""

from __future__ import annotations

import json
import subprocess
import sys

from parley_testing.packaged.packages import Packages
from parley_testing.waiting import alive

_SERVER = """
import sys
sys.path[:0] = {path}
import os
from mcp.server.fastmcp import FastMCP
server = FastMCP("packaged")
server.tool(name="pid")(lambda: os.getpid())
server.run("stdio")
"""

_CLIENT = """
import sys
sys.path[:0] = {path}
import asyncio, json
import parley.runner
from agents import Agent
from agents.mcp import MCPServerStdio
from parley.runner.prepare import prepare

program = {{"command": sys.executable, "args": ["-I", "-S", "-c", {server!r}]}}
server = MCPServerStdio(program, name="packaged", client_session_timeout_seconds=None)
prepare(Agent(name="one", mcp_servers=[server]))

async def asked():
    tools = await server.list_tools()
    return [tool.name for tool in tools], (await server.call_tool("pid", {{}})).content[0].text

print(json.dumps(asyncio.run(asked())))
"""


def test_a_server_is_started_asked_and_gone_when_its_process_ends(packages: Packages) -> None:
    function = packages.unpacked["Messages"]
    path = [str(function.opt / "python"), str(function.task), str(function.runtime)]
    client = _CLIENT.format(path=path, server=_SERVER.format(path=path))

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", client], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    names, answer = json.loads(done.stdout)
    assert names == ["pid"]
    assert not alive(int(answer))
