"""Tools: effects that happen once, and outputs that are recorded.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Concatenate, ParamSpec, get_type_hints

from agents import FunctionTool, RunContextWrapper, Tool, default_tool_error_function, function_tool
from agents.tool_context import ToolContext
from pydantic_core import to_json

from parley.errors import Fenced, InvalidField, NotFound, StoreUnavailable
from parley.text import jsonable, storable
from parley.tracing import subsegment
from parley.turns.attempt import Called, current_attempt, enclosing_call, inside_call
from parley.turns.context import Effect, TurnContext

P = ParamSpec("P")


def effect_tool(body: Callable[Concatenate[Effect, P], Any]) -> FunctionTool:
    """Make a tool whose effect in Postgres happens once, however many attempts a turn takes.

    The body is an ordinary function: its first parameter is the `Effect`, the others are the
    tool's arguments, its docstring what the model reads. What it does on `effect.db` and its
    output are committed together; an attempt that follows a crash gets the recorded output and
    does not run the body again. An exception rolls the effect back and is told to the model.

    Args:
        body: Runs in a worker thread, one at a time in a turn. What it does anywhere else than
            on `effect.db` may happen more than once; `effect.turn_id` and `effect.call_id` are
            then the key to give.

    Returns:
        A tool for an agent's `tools`.
    """
    return _in_transaction(body, changes=True)


def read_tool(body: Callable[Concatenate[Effect, P], Any]) -> FunctionTool:
    """Make a tool that only reads Postgres: like `effect_tool`, but nothing to tell of later.

    A turn that fails leaves the agent a note of what its tools had done; reading is left out.
    """
    return _in_transaction(body, changes=False)


def _in_transaction(body: Callable[Concatenate[Effect, P], Any], *, changes: bool) -> FunctionTool:
    async def invoke(context: ToolContext[TurnContext], *args: P.args, **kwargs: P.kwargs) -> Any:
        attempt = current_attempt()
        if attempt is None:
            raise RuntimeError(f"{context.tool_name} can only be called in a turn of Parley's")
        return await attempt.in_transaction(
            _named(context), lambda effect: _told(body(effect, *args, **kwargs)), changes=changes
        )

    functools.update_wrapper(invoke, body)
    hints = get_type_hints(body, include_extras=True)
    first, *others = inspect.signature(body).parameters.values()
    hints[first.name] = ToolContext[TurnContext]
    parameters = [first.replace(annotation=hints[first.name])]
    parameters += [other.replace(annotation=hints[other.name]) for other in others]
    invoke.__annotations__ = hints
    invoke.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function_tool(invoke, failure_error_function=_explain)


def _explain(context: RunContextWrapper[Any], error: Exception) -> str:
    """Tell the model what went wrong with a tool, but never that a store or a fence did."""
    match error:
        case Fenced() | StoreUnavailable():
            raise error
        case NotFound(kind=kind, id=id):
            return f"There is no {kind} {id}."
        case InvalidField(field=field, reason=reason):
            return f"{field} {reason}."
        case _:
            return default_tool_error_function(context, error)


def record_outputs(tools: Iterable[Tool]) -> None:
    """Make every function tool keep its final output and replay it, errors and reads too.

    A tool that failed, was answered for and then succeeds on replay would contradict the reply.
    Tools are changed in place, once: they are the agents' own, and all pass by the model.
    """
    for tool in tools:
        if isinstance(tool, FunctionTool) and not isinstance(tool.on_invoke_tool, _Recorded):
            tool.on_invoke_tool = _Recorded(tool.on_invoke_tool)


class _Recorded:
    """Calls a tool inside its place in the turn, and keeps what it answers."""

    def __init__(self, invoke: Callable[[ToolContext[Any], str], Awaitable[Any]]) -> None:
        self._invoke = invoke

    async def __call__(self, context: ToolContext[Any], arguments: str) -> Any:
        attempt = current_attempt()
        if attempt is None:
            return await self._invoke(context, arguments)
        attempt.check()
        called, call_id = _named(context), context.tool_call_id
        chronicle, within = attempt.chronicle, enclosing_call()
        if chronicle is not None:
            chronicle.called(called, within)
        if call_id not in attempt.outputs:
            with inside_call(call_id), subsegment(f"tool {context.tool_name}"):
                output = await self._invoke(context, arguments)
            attempt.check()
            if call_id not in attempt.outputs:
                await attempt.record_output(called, _told(output))
        answered = attempt.outputs[call_id].output
        if chronicle is not None:
            chronicle.returned(called, answered, within)
        return answered


def _named(context: ToolContext[Any]) -> Called:
    return Called(context.tool_call_id, context.tool_name, storable(context.tool_arguments))


def _told(output: Any) -> Any:
    """Turn a tool's output into what the model is told, in this attempt and in every replay.

    Text is told as it is, and so are the SDK's structured outputs; anything else as JSON, where
    the SDK would tell Python's own notation.
    """
    value = jsonable(output)
    parts = value if isinstance(value, list) else [value]
    structured = all(isinstance(part, dict) and part.get("type") in _PARTS for part in parts)
    return value if isinstance(value, str) or (parts and structured) else to_json(value).decode()


_PARTS = ("text", "image", "file")
