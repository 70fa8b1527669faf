"""What tools fail with: told to whoever reads the log, since the model is told it in other words.

The SDK makes text for the model of a tool's exception, and keeps none of it. Importing this module
imports the Agents SDK.
"""

from __future__ import annotations

from typing import Any

from agents import (
    AgentsException,
    FunctionTool,
    ModelBehaviorError,
    ModelRefusalError,
    RunContextWrapper,
    UserError,
    default_tool_error_function,
)
from agents.run_config import ToolErrorFormatterArgs
from agents.tool import (
    resolve_function_tool_failure_error_function,
    set_function_tool_failure_error_function,
)
from agents.tool_context import ToolContext

from parley.errors import (
    Fenced,
    InvalidField,
    LimitReached,
    NotFound,
    ParleyError,
    StandInFault,
    StoreUnavailable,
)
from parley.faults import chain
from parley.observability import logger, traced
from parley.runner.agent_graph import UnsupportedAgent
from parley.runner.mcp_servers.failures import McpCallRefused, McpServerFailed
from parley.runner.missing_tools import tell_missing
from parley.runner.sdk_private import (
    ErrorHandler,
    agent_of_tool,
    is_mcp_tool,
    wrap_error_handler,
)
from parley.turns.attempt import current_attempt

# They end the attempt, or the turn, which says so itself.
_NOT_THE_TOOL_S = (Fenced, StandInFault, StoreUnavailable, UnsupportedAgent)
# A tool says by these what is wrong with its arguments, and the model may call it better.
_REFUSALS = (InvalidField, LimitReached, NotFound, ModelBehaviorError, McpCallRefused)
_BAD_ARGUMENTS = "Invalid JSON input for tool"  # so the SDK's message begins


class RaisedBefore(ParleyError):
    """A tool has failed the turn in an earlier attempt, and is not called again.

    Attributes:
        name: The class of what it raised.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def is_of_tool(error: Exception, tool: FunctionTool, model_error: Exception | None) -> bool:
    """Return whether a tool raised something of its own, which it might not raise another time.

    What another agent or its model failed with is none of it, however far down it is: the next
    attempt asks them again, and what they have answered is recorded.
    """
    others = (*_NOT_THE_TOOL_S, AgentsException)
    return agent_of_tool(tool) is None and not any(
        isinstance(each, others) or each is model_error for each in chain(error, hidden=True)
    )


def raised_by(error: Exception) -> str:
    """Return the name of what ended a run: what a tool raised, not what the SDK made of it."""
    cause = error.__cause__ if isinstance(error, UserError) else None
    match cause or error:
        case RaisedBefore(name=name):
            return name
        case raised:
            return type(raised).__name__


def explain(context: RunContextWrapper[Any], error: Exception) -> str:
    """Return what the model is told of a tool's exception.

    Raises:
        Exception: The turn cannot go on after it.
    """
    if isinstance(error, _NOT_THE_TOOL_S):
        raise error
    return _explained(error) or default_tool_error_function(context, error)


async def tell_error(asked: ToolErrorFormatterArgs[Any]) -> str | None:
    """Return what the model is told of a tool that failed or is missing; None for the SDK's words.

    For `RunConfig.tool_error_formatter`, which is asked about tools that leave this to the SDK.
    """
    if asked.kind == "tool_exception" and asked.error is not None:
        return _explained(asked.error)
    return await tell_missing(asked)


def _explained(error: Exception) -> str | None:
    match error:
        case NotFound(kind=kind, id=id):
            return f"There is no {kind} {id}."
        case InvalidField(field=field, reason=reason):
            return f"{field} {reason}."
        case LimitReached(limit=limit, most=most):
            return f"The limit {limit} is {most}, and is reached."
        case McpServerFailed(message=said):
            return said
        case ModelRefusalError(refusal=words):  # of an agent that the tool asked
            return f"The model refused: {words}"
        case ModelBehaviorError(message=message) if message.startswith(_BAD_ARGUMENTS):
            return message
    return None


def explain_errors(tool: FunctionTool) -> None:
    """Have the model told why an agent that is used as a tool, or an MCP server, failed, in place.

    The formatter is not asked about such a tool; the SDK says itself only that it failed.
    """
    says = resolve_function_tool_failure_error_function(tool)
    if (
        agent_of_tool(tool) is not None or is_mcp_tool(tool)
    ) and says is default_tool_error_function:
        set_function_tool_failure_error_function(tool, explain)


def note_errors(tool: FunctionTool) -> None:
    """Have a tool's exceptions told that the SDK makes text of, in place.

    A tool whose `on_invoke_tool` is not the SDK's raises its exceptions.
    """

    def noting(handler: ErrorHandler) -> ErrorHandler:
        def note(
            failed: FunctionTool, error: Exception, arguments: str, context: ToolContext[Any]
        ) -> None:
            tool_failed(context, error)
            handler(failed, error, arguments, context)

        return note

    wrap_error_handler(tool, noting)


def tool_failed(context: ToolContext[Any], error: Exception) -> None:
    """Log that a tool failed, and keep what with for whoever looks at the turn."""
    attempt = current_attempt()
    call_id = context.tool_call_id
    if attempt is None or isinstance(error, _NOT_THE_TOOL_S) or attempt.lease.broken is not None:
        return
    attempt.journal.tool_errors[call_id] = type(error).__name__
    told: dict[str, Any] = {"tool": context.tool_name, "call_id": call_id}
    if isinstance(error, _REFUSALS):
        logger().info("tool refused its arguments", error=type(error).__name__, **told)
    else:
        logger().warning("tool failed", **told, **traced(error))
