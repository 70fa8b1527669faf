"""Tools that the model calls and that do not exist: it is told so, and may try again.

A call of one is a call like any other: what the model is told is recorded, and told to whoever
follows the turn. Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agents import FunctionTool, Tool
from agents.run_config import ToolErrorFormatterArgs
from agents.tool_context import ToolContext

from parley.repository.tool_calls import Called
from parley.text import storable
from parley.turns.attempt import Attempt, current_attempt
from parley.turns.scope import enclosing_call

_NAMES_TOLD = 50


async def tell_missing(asked: ToolErrorFormatterArgs[Any]) -> str | None:
    """Return what the model is told of a call of a tool that does not exist; of others, None."""
    attempt = current_attempt()
    if attempt is None or asked.kind != "tool_not_found":
        return None
    call_id = asked.call_id
    called = Called(call_id, storable(asked.tool_name), _arguments(attempt, call_id))
    if attempt.event_writer is not None:
        attempt.event_writer.called(called, enclosing_call())
    if call_id not in attempt.journal.outputs:
        attempt.journal.tool_errors[call_id] = "no such tool"
        await attempt.journal.record_output(called, _words(called.name, attempt.journal.offered()))
    output = attempt.journal.outputs[call_id].output
    if attempt.event_writer is not None:
        attempt.event_writer.returned(called, output, enclosing_call())
    return str(output)


def stand_ins(
    output: Iterable[dict[str, Any]], tools: Iterable[Tool], attempt: Attempt
) -> list[Tool]:
    """Return tools in place of missing ones whose call ends the run inside the SDK.

    It takes every function whose name begins with `apply_patch` for a tool of its own.
    """
    offered = attempt.journal.offered()

    async def answer(context: ToolContext[Any], _: str) -> str:
        return _words(context.tool_name, offered)

    there = {tool.name for tool in tools}
    names = {item["name"] for item in output if item.get("type") == "function_call"} - there
    return [
        FunctionTool(name, "", {}, answer, strict_json_schema=False)
        for name in sorted(names)
        if name.strip().lower().startswith("apply_patch")
    ]


def _words(name: str, offered: Iterable[str]) -> str:
    names = ", ".join([*offered][:_NAMES_TOLD])
    return f"There is no tool {name}. {f'These are there: {names}.' if names else 'There is none.'}"


def _arguments(attempt: Attempt, call_id: str) -> str:
    for record in attempt.journal.records.values():
        for item in record["output"]:
            if item.get("call_id") == call_id:
                return storable(item.get("arguments") or "")
    return ""
