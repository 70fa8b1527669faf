"""What tools fail with: told to whoever reads the log, since the model is told it in other words.

The SDK makes text for the model of a tool's exception, and keeps none of it. Importing this module
imports the Agents SDK.
"""

from __future__ import annotations

from typing import Any

from agents import FunctionTool, ModelBehaviorError
from agents.tool_context import ToolContext

from parley.errors import Fenced, InvalidField, NotFound, StoreUnavailable
from parley.observability import logger, traced
from parley.runner.agent_graph import UnsupportedAgent
from parley.runner.sdk_private import ErrorHandler, wrap_error_handler
from parley.turns.attempt import current_attempt

# They end the attempt, or the turn, which says so itself.
_NOT_THE_TOOL_S = (Fenced, StoreUnavailable, UnsupportedAgent)
# A tool says by these what is wrong with its arguments, and the model may call it better.
_REFUSALS = (InvalidField, NotFound, ModelBehaviorError)


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
