"""How long a tool may take by its `timeout_seconds`: kept here, so that what comes of it is too.

The SDK cancels the call from outside of what records it, and makes up its answer there. Importing
this module imports the Agents SDK.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

from agents import FunctionTool, ToolTimeoutError
from agents.tool import ToolErrorFunction, default_tool_timeout_error_message
from agents.tool_context import ToolContext

from parley.errors import ParleyError


class OutOfTime(ParleyError):
    """A call took longer than its tool says; the cause tells where it was stopped."""


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """How long a tool may take, and what comes of it if it takes longer.

    Attributes:
        seconds: How long.
        raises: Whether it fails the run then; or else the model is told.
        words: What the model is told; None for the SDK's words.
    """

    seconds: float
    raises: bool
    words: ToolErrorFunction | None

    async def keep(self, call: Awaitable[Any]) -> Any:
        """Wait for a call, and cancel it when it takes too long.

        Raises:
            OutOfTime: It took too long.
            Exception: Whatever the call raises, a `TimeoutError` of its own among it.
        """
        if self.seconds == math.inf:
            return await call
        task = asyncio.ensure_future(call)
        try:
            return await asyncio.wait_for(task, self.seconds)
        except TimeoutError as late:
            if task.done() and not task.cancelled():
                return task.result()
            raise OutOfTime from late.__cause__

    def error(self, tool: str) -> ToolTimeoutError:
        """Return what a tool of that name fails with."""
        return ToolTimeoutError(tool_name=tool, timeout_seconds=self.seconds)

    async def told(self, context: ToolContext[Any], error: ToolTimeoutError) -> Any:
        """Return what is told of a call that took too long."""
        if self.raises or self.words is None:
            return default_tool_timeout_error_message(
                tool_name=error.tool_name, timeout_seconds=self.seconds
            )
        said = self.words(context, error)
        return await said if inspect.isawaitable(said) else said


NO_LIMIT = TimeLimit(math.inf, raises=False, words=None)


def take_limit(tool: FunctionTool) -> TimeLimit | None:
    """Take a tool's limit from the SDK, in place, and return it; None if it has none any more."""
    seconds = tool.timeout_seconds
    if seconds is None:
        return None
    tool.timeout_seconds = None
    raises = tool.timeout_behavior == "raise_exception"
    return TimeLimit(seconds, raises, tool.timeout_error_function)
