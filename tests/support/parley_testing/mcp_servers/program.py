"""A real MCP server as a program: over HTTP on a socket that it is given, or over its pipes.

    python -m parley_testing.mcp_servers.program FOLDER [FD] [REMOVED …]

What it is called with is appended to FOLDER/calls, where `wait` waits for a file named `go`.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import sys
from pathlib import Path

import uvicorn
from mcp.server.fastmcp import Context, FastMCP, Image
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel

_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Weather(BaseModel):
    """What the weather is."""

    celsius: float


def server(folder: Path) -> FastMCP:
    """Return the server, with its tools."""
    made = FastMCP("tested", log_level="ERROR")

    def called(what: str) -> None:
        with (folder / "calls").open("a") as file:
            file.write(f"{what}\n")

    @made.tool()
    def note(text: str) -> str:
        """Note something down."""
        called(f"note {text}")
        return f"Noted: {text}"

    @made.tool()
    def read(text: str) -> str:
        """Read something out; may be called when it is taken away."""
        called(f"read {text}")
        return text

    @made.tool()
    def fail(text: str) -> str:
        """Fail."""
        called(f"fail {text}")
        raise ValueError(f"no {text} here")

    @made.tool()
    async def wait(text: str, ctx: Context) -> str:  # type: ignore[type-arg]
        """Take until it is told to go on."""
        called(f"wait {text}")
        while not (folder / "go").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return f"Waited: {text}"

    @made.tool()
    def picture() -> Image:
        """Show a picture."""
        return Image(data=_PIXEL, format="png")

    @made.tool()
    def weather(city: str) -> Weather:
        """Tell the weather."""
        called(f"weather {city}")
        return Weather(celsius=21.5)

    @made.tool()
    def large(size: int) -> str:
        """Answer at length."""
        return "x" * size

    @made.tool()
    def variable(name: str) -> str:
        """Tell a variable of the environment."""
        return os.environ.get(name, "none")

    @made.tool()
    async def sample(ctx: Context) -> str:  # type: ignore[type-arg]
        """Ask the client's model, and its user, and tell of progress."""
        await ctx.report_progress(1, 2)
        message = SamplingMessage(role="user", content=TextContent(type="text", text="hi"))
        try:
            await ctx.session.create_message([message], max_tokens=5)
        except Exception as error:
            return f"refused: {error}"
        return "answered"

    @made.tool()
    async def change(ctx: Context) -> str:  # type: ignore[type-arg]
        """Take the tool `read` away, and say so."""
        made.remove_tool("read")
        await ctx.session.send_tool_list_changed()
        return "changed"

    return made


def main() -> None:
    """Serve until the process is killed, or its input ends."""
    folder, *rest = sys.argv[1:]
    made = server(Path(folder))
    (Path(folder) / "pid").write_text(str(os.getpid()))
    for name in rest[1:]:
        made.remove_tool(name)
    if rest and rest[0] != "-":
        config = uvicorn.Config(
            made.streamable_http_app(), log_level="error", timeout_graceful_shutdown=0
        )
        uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(rest[0]))])
    else:
        made.run("stdio")


if __name__ == "__main__":
    main()
