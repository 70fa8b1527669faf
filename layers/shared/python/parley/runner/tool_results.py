"""What comes after a tool: who follows the turn is told, and the agent's own functions asked.

The model is told text. Functions of the agent's that look at a tool's result, such as its
`tool_use_behavior`, are given the value, as the SDK gives it.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from agents import (
    Agent,
    FunctionTool,
    FunctionToolCustomDataContext,
    FunctionToolResult,
    Handoff,
    HandoffInputData,
    RunContextWrapper,
    RunItem,
    ToolCallOutputItem,
    ToolsToFinalOutputResult,
)
from agents.tool_context import ToolContext

from parley.repository.tool_calls import Called
from parley.runner.told import as_text
from parley.text import storable
from parley.turns.attempt import current_attempt
from parley.turns.scope import enclosing_call


def named(context: ToolContext[Any]) -> Called:
    """Return the call that a tool is called with."""
    return Called(context.tool_call_id, context.tool_name, storable(context.tool_arguments))


def tell_returned(context: ToolContext[Any], output: Any) -> None:
    """Tell who follows the turn what the model is told of a call."""
    attempt = current_attempt()
    if attempt is not None and attempt.event_writer is not None:
        attempt.event_writer.returned(named(context), output, enclosing_call())


def value_behind(context: Any, output: Any) -> Any:
    """Return the value that a tool gave, where `output` is what the model is told of it."""
    call_id = getattr(context, "tool_call_id", None)
    return output if call_id is None else _value(call_id, output)


def _value(call_id: str, output: Any) -> Any:
    attempt = current_attempt()
    if attempt is None or attempt.journal.answered.get(call_id) != output:
        return output  # a guardrail's words, or another's
    return attempt.journal.value(call_id)


def give_values(agent: Agent[Any]) -> None:
    """Have the agent's functions that look at a tool's result given its value, in place."""
    behaviour = agent.tool_use_behavior
    if behaviour != "run_llm_again" and not isinstance(behaviour, _Behaviour):
        text = agent.output_type is None or agent.output_type is str
        agent.tool_use_behavior = _Behaviour(behaviour, text)
    give_hooks_values(agent.hooks)
    for each in agent.handoffs:
        choose = each.input_filter if isinstance(each, Handoff) else None
        if isinstance(each, Handoff) and choose and not isinstance(choose, _InputFilter):
            each.input_filter = _InputFilter(choose)


def give_hooks_values(hooks: Any) -> None:
    """Have hooks of an agent's or of a run's, if there are any, given tools' values, in place."""
    if hooks is not None and not isinstance(hooks.on_tool_end, _OnToolEnd):
        hooks.on_tool_end = _OnToolEnd(hooks.on_tool_end)


def give_extractor_value(tool: FunctionTool) -> None:
    """Have a tool's `custom_data_extractor`, if it has one, given the tool's value, in place."""
    extract = tool.custom_data_extractor
    if extract is not None and not isinstance(extract, _Extractor):
        tool.custom_data_extractor = _Extractor(extract)


def show_values(items: Iterable[RunItem]) -> None:
    """Put the values that tools gave into a run's items, in place.

    What the model is told stands in an item's `raw_item`, and stays as it is.
    """
    for item in items:
        if isinstance(item, ToolCallOutputItem) and (call_id := item.call_id) is not None:
            item.output = _value(call_id, item.output)


@dataclass(frozen=True, slots=True)
class _Behaviour:
    """Whether tools' results are the agent's answer.

    Attributes:
        behaviour: What the agent says of it.
        text: Whether its answer is text; the SDK would make it in Python's notation.
    """

    behaviour: Any
    text: bool

    async def __call__(
        self, context: RunContextWrapper[Any], results: list[FunctionToolResult]
    ) -> Any:
        decided = self._decide(context, [_with_value(result) for result in results])
        if inspect.isawaitable(decided):
            decided = await decided
        if not self.text or not isinstance(decided, ToolsToFinalOutputResult):
            return decided  # the SDK says what is wrong with anything else
        if not decided.is_final_output or decided.final_output is None:
            return decided
        return replace(decided, final_output=as_text(decided.final_output))

    def _decide(self, context: RunContextWrapper[Any], results: list[FunctionToolResult]) -> Any:
        if callable(self.behaviour):
            return self.behaviour(context, results)
        final = results
        if isinstance(self.behaviour, dict):
            names = {*self.behaviour.get("stop_at_tool_names", [])}
            final = [each for each in results if {each.tool.name, each.tool.qualified_name} & names]
        if not final:
            return ToolsToFinalOutputResult(is_final_output=False)
        return ToolsToFinalOutputResult(is_final_output=True, final_output=final[0].output)


def _with_value(result: FunctionToolResult) -> FunctionToolResult:
    item = result.run_item
    if not isinstance(item, ToolCallOutputItem) or item.call_id is None:
        return result
    show_values([item])
    return replace(result, output=_value(item.call_id, result.output))


@dataclass(frozen=True, slots=True)
class _OnToolEnd:
    hook: Any

    async def __call__(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
        await self.hook(context, agent, tool, value_behind(context, result))


@dataclass(frozen=True, slots=True)
class _Extractor:
    extract: Any

    def __call__(self, context: FunctionToolCustomDataContext) -> Any:
        value = value_behind(context.tool_context, context.output)
        return self.extract(replace(context, output=value))


@dataclass(frozen=True, slots=True)
class _InputFilter:
    choose: Any

    def __call__(self, data: HandoffInputData) -> Any:
        for items in (data.pre_handoff_items, data.new_items, data.input_items or ()):
            show_values(items)
        return self.choose(data)
