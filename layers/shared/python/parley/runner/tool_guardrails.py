"""Guardrails of tools: their verdicts recorded, and nobody told what they withhold.

The SDK asks a tool's output guardrails when the call has returned. So what the tool answered is
told to whoever follows the turn only when the last of them has let it through; one that rejects it
has its own words told instead, which are all that the model is told.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from agents import (
    FunctionTool,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrail,
    ToolInputGuardrailData,
    ToolOutputGuardrail,
    ToolOutputGuardrailData,
)

from parley.runner.agent_graph import UnsupportedAgent
from parley.runner.tool_results import tell_returned, value_behind
from parley.runner.verdicts import judged_once
from parley.text import jsonable
from parley.turns.attempt import current_attempt
from parley.turns.scope import inside_call


def record_tool_verdicts(tool: FunctionTool) -> None:
    """Prepare the guardrails of a tool, in place: once, however often it is called."""
    before, after = tool.tool_input_guardrails, tool.tool_output_guardrails
    if before and not all(isinstance(each.guardrail_function, _OnInput) for each in before):
        tool.tool_input_guardrails = [_recorded_input(each) for each in before]
    if after and not all(isinstance(each.guardrail_function, _OnOutput) for each in after):
        last = len(after) - 1
        tool.tool_output_guardrails = [
            _recorded_output(each, last=place == last) for place, each in enumerate(after)
        ]


def _recorded_input(guardrail: ToolInputGuardrail[Any]) -> ToolInputGuardrail[Any]:
    judge = guardrail.guardrail_function
    inner = judge.guardrail if isinstance(judge, _OnInput) else guardrail
    return ToolInputGuardrail(_OnInput(inner), guardrail.get_name())


def _recorded_output(
    guardrail: ToolOutputGuardrail[Any], *, last: bool
) -> ToolOutputGuardrail[Any]:
    judge = guardrail.guardrail_function
    inner = judge.guardrail if isinstance(judge, _OnOutput) else guardrail
    return ToolOutputGuardrail(_OnOutput(inner, last), guardrail.get_name())


@dataclass(frozen=True, slots=True)
class _OnInput:
    guardrail: ToolInputGuardrail[Any]

    async def __call__(self, data: ToolInputGuardrailData) -> ToolGuardrailFunctionOutput:
        return await _judged(self.guardrail.get_name(), data, lambda: self.guardrail.run(data))


@dataclass(frozen=True, slots=True)
class _OnOutput:
    guardrail: ToolOutputGuardrail[Any]
    last: bool

    async def __call__(self, data: ToolOutputGuardrailData) -> ToolGuardrailFunctionOutput:
        given = replace(data, output=value_behind(data.context, data.output))
        verdict = await _judged(self.guardrail.get_name(), data, lambda: self.guardrail.run(given))
        if verdict.behavior["type"] == "reject_content":
            tell_returned(data.context, verdict.behavior["message"])
        elif verdict.behavior["type"] == "allow" and self.last:
            tell_returned(data.context, data.output)
        return verdict


async def _judged(
    name: str,
    data: ToolInputGuardrailData,
    judge: Callable[[], Awaitable[ToolGuardrailFunctionOutput]],
) -> ToolGuardrailFunctionOutput:
    attempt = current_attempt()
    if attempt is None:
        return await judge()

    async def verdict() -> dict[str, Any]:
        given = await judge()
        if not isinstance(given, ToolGuardrailFunctionOutput):
            raise UnsupportedAgent(
                f"The guardrail {name} returned {type(given).__name__}, which is no"
                " ToolGuardrailFunctionOutput."
            )
        return {"output_info": jsonable(given.output_info), "behavior": dict(given.behavior)}

    with inside_call(data.context.tool_call_id):
        recorded = await judged_once(attempt, name, verdict)
    return ToolGuardrailFunctionOutput(**recorded)
