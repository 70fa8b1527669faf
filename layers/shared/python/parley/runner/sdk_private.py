"""Everything private of the Agents SDK, and of OpenAI's client, that Parley touches.

Nothing else in Parley does. Each entry says what it is for and in which version it was read; the
requirements end before the next version in which it may be gone, and `vanished` names what is.
Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import httpx2
from agents import (
    Agent,
    FunctionTool,
    Handoff,
    Model,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    function_tool,
    handoff,
)
from agents.models._retry_runtime import provider_managed_retries_disabled
from agents.models.fake_id import FAKE_RESPONSES_ID
from agents.run import AgentRunner, get_default_agent_runner, set_default_agent_runner
from agents.tool import ValidToolOutputPydanticModelsTypeAdapter as STRUCTURED_OUTPUT
from agents.tool_context import ToolContext
from agents.util import _json as sdk_json
from openai import AsyncOpenAI, AsyncStream
from openai._base_client import AsyncAPIClient, BaseClient
from openai._streaming import ServerSentEvent, SSEBytesDecoder, SSEDecoder

if TYPE_CHECKING:
    from agents import RunContextWrapper
    from agents.mcp import MCPServer, MCPServerStdio, MCPServerStreamableHttp
    from mcp import ClientSession
    from mcp.types import Tool as McpTool

    ClientSessionServer: TypeAlias = MCPServerStdio | MCPServerStreamableHttp
else:  # an agent without a server does not import their classes
    ClientSessionServer = Any

__all__ = [
    "FAKE_RESPONSES_ID",
    "READ_IN",
    "STRUCTURED_OUTPUT",
    "AgentRunner",
    "ClientSessionServer",
    "ErrorHandler",
    "HookedClient",
    "OpenAiModel",
    "SSEDecoder",
    "ServerSentEvent",
    "agent_of_handoff",
    "agent_of_tool",
    "as_client",
    "client_of",
    "decoder_of",
    "filtered_tools",
    "get_default_agent_runner",
    "is_mcp_tool",
    "is_observed",
    "keeps_a_run",
    "know_schemas",
    "materialized",
    "mcp_name",
    "provider_managed_retries_disabled",
    "set_default_agent_runner",
    "unconnected",
    "vanished",
    "with_client",
    "wrap_error_handler",
]

READ_IN = {"openai-agents": "0.24.0", "openai": "3.51.0", "mcp": "1.30.0"}
"""The versions in which all of this was read."""

OpenAiModel: TypeAlias = OpenAIChatCompletionsModel | OpenAIResponsesModel

_Client = TypeVar("_Client", bound=AsyncOpenAI)

ErrorHandler = Callable[[FunctionTool, Exception, str, ToolContext[Any]], None]
"""What a function tool calls with an exception of its body: the tool, the exception, the arguments
as the model wrote them, and the tool's context."""


def agent_of_tool(tool: object) -> Agent[Any] | None:
    """Return the agent that `Agent.as_tool` made a tool of; None for any other tool."""
    found = getattr(tool, "_agent_instance", None)
    return found if isinstance(found, Agent) else None


def agent_of_handoff(target: object) -> Agent[Any] | None:
    """Return the agent to which a handoff goes; None if it is gone, or cannot be known."""
    if isinstance(target, Agent):
        return target
    ref = getattr(target, "_agent_ref", None)
    found = None if ref is None else ref()
    return found if isinstance(found, Agent) else None


def wrap_error_handler(tool: FunctionTool, wrap: Callable[[ErrorHandler], ErrorHandler]) -> bool:
    """Put something around what a function tool does with an exception of its body, in place.

    The SDK makes text for the model of the exception, and keeps none of it.

    Args:
        tool: The tool.
        wrap: Given what the tool does now, returns what it is to do.

    Returns:
        Whether there was anything: a tool whose `on_invoke_tool` is not the SDK's raises.
    """
    invoke: Any = tool.on_invoke_tool
    handler: ErrorHandler | None = getattr(invoke, "_on_handled_error", None)
    if handler is None:
        return False
    invoke._on_handled_error = wrap(handler)
    return True


def is_mcp_tool(tool: object) -> bool:
    """Return whether the SDK made a tool of one that an MCP server has."""
    return getattr(tool, "_mcp_tool_binding", None) is not None


def mcp_name(server: MCPServer) -> str:
    """Return an MCP server's name as it may be said: without what its URL may hold of secrets."""
    return server._error_name


def unconnected(server: ClientSessionServer) -> ClientSessionServer:
    """Return a copy of an MCP server that shares what it is told to be, and no connection."""
    made: Any = copy.copy(server)
    # Of the instance: what somebody put in place of its methods is not the copy's.
    for name in [name for name in vars(made) if hasattr(type(made), name)]:
        del vars(made)[name]
    made.session = None
    made.exit_stack = AsyncExitStack()
    made._cleanup_lock, made._request_lock = asyncio.Lock(), asyncio.Lock()
    made._cache_dirty, made._tools_list = True, None
    return made  # type: ignore[no-any-return]


async def filtered_tools(
    server: ClientSessionServer,
    tools: list[McpTool],
    run_context: RunContextWrapper[Any] | None,
    agent: Agent[Any] | None,
) -> list[McpTool]:
    """Return those of an MCP server's tools that its `tool_filter` lets through."""
    return await server._apply_tool_filter(tools, run_context, agent)


def know_schemas(session: ClientSession, tools: Iterable[McpTool]) -> None:
    """Tell a session of MCP what its tools answer.

    Otherwise it asks after the first call: a call that was answered then fails if that does.
    """
    session._tool_output_schemas.update({tool.name: tool.outputSchema for tool in tools})


class HookedClient(AsyncOpenAI):
    """OpenAI's client, with some of its private steps open to a subclass.

    It builds every answer, every chunk and every event in the last, from the JSON as it came.
    """

    def sse_decoder(self) -> SSEDecoder | SSEBytesDecoder:
        """Return what cuts a stream's bytes into events."""
        return super()._make_sse_decoder()

    def received(self, data: object, kind: Any, response: httpx2.Response) -> object:
        """Return the JSON that came, as it is to be read.

        Args:
            data: What came.
            kind: The type that it is to become.
            response: The HTTP response that it is of.
        """
        return data

    def kind_of(self, data: object, kind: Any) -> Any:
        """Return the type that what was read becomes: `kind`, or one of a union of types."""
        return kind

    def arrived(self, response: httpx2.Response) -> None:
        """Look at a response of which only the head was read."""

    def forget_environment(self) -> None:
        """Drop what the environment has for OpenAI's own server, and no other is to be told."""
        self.organization = self.project = None
        self._custom_headers = {}

    def _make_sse_decoder(self) -> SSEDecoder | SSEBytesDecoder:
        return self.sse_decoder()

    async def _send_request(
        self, request: httpx2.Request, *, stream: bool, **options: Any
    ) -> httpx2.Response:
        response = await super()._send_request(request, stream=True, **options)
        try:
            self.arrived(response)
            if not stream:
                await response.aread()
        except BaseException:
            await response.aclose()
            raise
        return response

    def _process_response_data(
        self, *, data: object, cast_to: Any, response: httpx2.Response
    ) -> Any:
        read = self.received(data, cast_to, response)
        kind = self.kind_of(read, cast_to)
        return super()._process_response_data(data=read, cast_to=kind, response=response)


def client_of(model: OpenAiModel) -> AsyncOpenAI | None:
    """Return the client that a model of the SDK's asks; None if it has none yet, or a stand-in."""
    found = model._client
    return found if isinstance(found, AsyncOpenAI) else None


def with_client(model: OpenAiModel, client: AsyncOpenAI) -> OpenAiModel:
    """Return a copy of a model of the SDK's that asks another client."""
    made = copy.copy(model)
    made._client = client
    return made


def is_observed(client: AsyncOpenAI) -> bool:
    """Return whether somebody has put another function in the place of one that asks.

    Some who observe calls do so, in the client's parts: a copy of the client does not have it.
    """
    chat = vars(client).get("chat")
    asking = (
        None if chat is None else vars(chat).get("completions"),
        vars(client).get("responses"),
    )
    return any(each is not None and "create" in vars(each) for each in asking)


def as_client(client: AsyncOpenAI, kind: type[_Client]) -> _Client | None:
    """Return a client of another class that is the same otherwise, and shares its connections.

    None if its HTTP client is not one of `httpx2`.
    """
    if not isinstance(client._client, httpx2.AsyncClient):
        return None
    made: Any = copy.copy(client)
    for name in [*vars(made)]:
        if isinstance(getattr(type(client), name, None), cached_property):
            del vars(made)[name]  # what it asks with, which is the other client's
    made.__class__ = kind
    return made  # type: ignore[no-any-return]


def keeps_a_run(model: Model) -> bool:
    """Return whether a model keeps something of a run, to let go of it when the run ends."""
    return type(model)._cleanup_on_run_end is not Model._cleanup_on_run_end


def decoder_of(stream: AsyncStream[Any]) -> object:
    """Return what cuts a stream's bytes into events, and so knows how the stream ended."""
    return stream._decoder


_materialized: Callable[[Any], Any] = sdk_json._to_dump_compatible_internal


def materialized(obj: Any) -> Any:
    """Return a copy of what is sent, as the SDK makes it, in a third of its time.

    The SDK copies all of the input and all tools before each call, to have lists where there may be
    generators, and asks of each value whether it is a mapping, a sequence or can be iterated. What
    comes out is the same: whatever is not plainly JSON's is left to the SDK's own.
    """
    kind = type(obj)
    if kind is str or obj is None or kind is int or kind is bool or kind is float:
        return obj
    if kind is dict:
        return {key: materialized(each) for key, each in obj.items()}
    if kind is list:
        return [materialized(each) for each in obj]
    return _materialized(obj)


# Looked up by name whenever the SDK's models are asked.
sdk_json._to_dump_compatible_internal = materialized


def vanished() -> list[str]:
    """Return what of this the installed packages do not have any more, by name; best empty.

    What is imported above is not among it: without that, this module cannot be imported.
    """

    async def tried() -> str:
        return ""

    agent: Agent[Any] = Agent(name="tried")
    tool = function_tool(tried)
    to_it: Handoff[Any, Any] = handoff(agent)
    import agents.mcp.server
    import mcp

    server = agents.mcp.server._MCPServerWithClientSession
    has = {
        "agents.mcp.MCPServer._error_name": hasattr(agents.mcp.MCPServer, "_error_name"),
        "agents.mcp.MCPServerStdio._apply_tool_filter": hasattr(server, "_apply_tool_filter"),
        "agents.FunctionTool._mcp_tool_binding": hasattr(tool, "_mcp_tool_binding"),
        "mcp.ClientSession._tool_output_schemas": (
            "_tool_output_schemas" in mcp.ClientSession.__init__.__code__.co_names
        ),
        **{
            f"agents.mcp.MCPServerStdio.{name}": name in server.__init__.__code__.co_names
            for name in ("_cleanup_lock", "_request_lock", "_cache_dirty", "_tools_list")
        },
        "agents.Agent.as_tool(…)._agent_instance": agent_of_tool(agent.as_tool(None, None)),
        "agents.handoff(…)._agent_ref": agent_of_handoff(to_it),
        "agents.function_tool(…).on_invoke_tool._on_handled_error": wrap_error_handler(
            tool, lambda handler: handler
        ),
        "agents.Model._cleanup_on_run_end": hasattr(Model, "_cleanup_on_run_end"),
        **{
            f"agents.{kind.__name__}._client": "_client" in kind.__init__.__code__.co_names
            for kind in (OpenAIChatCompletionsModel, OpenAIResponsesModel)
        },
        "agents.util._json._to_dump_compatible_internal": (
            "_to_dump_compatible_internal" in sdk_json._to_dump_compatible.__code__.co_names
        ),
        "openai.AsyncOpenAI._client": "_client" in AsyncAPIClient.__init__.__code__.co_names,
        "openai.AsyncOpenAI._send_request": hasattr(AsyncOpenAI, "_send_request"),
        "openai.AsyncOpenAI._make_sse_decoder": hasattr(AsyncOpenAI, "_make_sse_decoder"),
        "openai.AsyncStream._decoder": "_decoder" in AsyncStream.__annotations__,
        "openai.AsyncOpenAI._custom_headers": (
            "_custom_headers" in BaseClient.__init__.__code__.co_names
        ),
        "openai.AsyncOpenAI._process_response_data": hasattr(AsyncOpenAI, "_process_response_data"),
    }
    return [name for name, found in has.items() if not found]
