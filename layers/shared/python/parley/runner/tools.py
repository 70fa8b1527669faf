"""Tools: effects that happen once, and outputs that are recorded.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Concatenate, ParamSpec, get_type_hints, overload

from agents import FunctionTool, Tool, function_tool
from agents.tool_context import ToolContext

from parley.failpoints import failpoint
from parley.repository.tool_calls import Called, ToolCall
from parley.runner.approvals import NotCarriedOn, hold_to_decisions, require_digest
from parley.runner.sdk_private import agent_of_tool
from parley.runner.told import told
from parley.runner.tool_errors import (
    RaisedBefore,
    explain,
    explain_errors,
    is_of_tool,
    note_errors,
    tool_failed,
)
from parley.runner.tool_guardrails import record_tool_verdicts
from parley.runner.tool_results import give_extractor_value, named, tell_returned
from parley.runner.tool_timeouts import NO_LIMIT, OutOfTime, take_limit
from parley.text import storable
from parley.tracing import subsegment
from parley.turns.attempt import Attempt, current_attempt, in_body
from parley.turns.caps import cut
from parley.turns.context import Effect, TurnContext
from parley.turns.scope import enclosing_call, inside_call

P = ParamSpec("P")
NeedsApproval = bool | Callable[[Any, dict[str, Any], str], Awaitable[bool]]


_Body = Callable[Concatenate[Effect, P], Any]


@overload
def effect_tool(body: _Body[P], /) -> FunctionTool: ...


@overload
def effect_tool(*, needs_approval: NeedsApproval) -> Callable[[_Body[P]], FunctionTool]: ...


def effect_tool(
    body: _Body[P] | None = None, /, *, needs_approval: NeedsApproval = False
) -> FunctionTool | Callable[[_Body[P]], FunctionTool]:
    """Make a tool whose effect in Postgres happens once, however many attempts a turn takes.

    The body is an ordinary function: its first parameter is the `Effect`, the others are the
    tool's arguments, its docstring what the model reads. What it does on `effect.db` and its
    output are committed together; an attempt that follows a crash gets the recorded output and
    does not run the body again. An exception rolls the effect back and is told to the model.

    Args:
        body: Runs in a worker thread, one at a time in a turn. What it does anywhere else than
            on `effect.db` may happen more than once; `effect.turn_id` and `effect.call_id` are
            then the key to give.
        needs_approval: Whether somebody has to approve a call before it is made: as the SDK's
            `function_tool` takes it, or what `approval` makes.

    Returns:
        A tool for an agent's `tools`; what makes one, where the body is not given.

    Raises:
        TypeError: The body is an async function, which a transaction cannot wait for, or does not
            take the Effect.
    """
    if body is None:
        return partial(_in_transaction, changes=True, needs_approval=needs_approval)
    return _in_transaction(body, changes=True, needs_approval=needs_approval)


@overload
def read_tool(body: _Body[P], /) -> FunctionTool: ...


@overload
def read_tool(*, needs_approval: NeedsApproval) -> Callable[[_Body[P]], FunctionTool]: ...


def read_tool(
    body: _Body[P] | None = None, /, *, needs_approval: NeedsApproval = False
) -> FunctionTool | Callable[[_Body[P]], FunctionTool]:
    """Make a tool that only reads Postgres: like `effect_tool`, but nothing to tell of later.

    A turn that fails leaves the agent a note of what its tools had done; reading is left out.
    """
    if body is None:
        return partial(_in_transaction, changes=False, needs_approval=needs_approval)
    return _in_transaction(body, changes=False, needs_approval=needs_approval)


def _in_transaction(
    body: _Body[P], *, changes: bool, needs_approval: NeedsApproval
) -> FunctionTool:
    async def invoke(context: ToolContext[TurnContext], *args: P.args, **kwargs: P.kwargs) -> Any:
        attempt = current_attempt()
        if attempt is None:
            raise RuntimeError(f"{context.tool_name} can only be called in a turn of Parley's")
        called = named(context)

        def give(effect: Effect) -> Any:
            with in_body(attempt):
                value = body(effect, *args, **kwargs)
            if inspect.isawaitable(value):
                if inspect.iscoroutine(value):
                    value.close()
                raise TypeError(f"{called.name} returned something to wait for, not its output")
            return _told(attempt, called.call_id, value)

        await attempt.effects.in_transaction(called, give, own=attempt.own, changes=changes)
        return attempt.journal.value(called.call_id)

    if _is_async(body):
        raise TypeError(
            f"{getattr(body, '__name__', body)} is an async function. The body of an effect_tool or"
            " a read_tool is an ordinary one: it runs in a thread, inside a transaction that must"
            " not wait. Make it a def, or the tool a function_tool."
        )
    functools.update_wrapper(invoke, body)
    hints = get_type_hints(body, include_extras=True)
    parameters = list(inspect.signature(body).parameters.values())
    _require_effect(body, parameters, hints)
    hints[parameters[0].name] = ToolContext[TurnContext]
    parameters = [
        each.replace(annotation=hints.get(each.name, each.annotation)) for each in parameters
    ]
    invoke.__annotations__ = hints
    invoke.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function_tool(invoke, failure_error_function=explain, needs_approval=needs_approval)


def _require_effect(
    body: Any, parameters: Sequence[inspect.Parameter], hints: Mapping[str, Any]
) -> None:
    told = hints.get(parameters[0].name, Effect) if parameters else None
    # Any is a class from Python 3.11 on.
    if told is not Any and (
        told is None or (isinstance(told, type) and not issubclass(Effect, told))
    ):
        raise TypeError(
            f"{getattr(body, '__name__', body)} does not take the Effect. It is the first parameter"
            " of an effect_tool or a read_tool, as in (effect: Effect, …); a tool that needs none"
            " is a function_tool."
        )


def _is_async(body: Any) -> bool:
    while isinstance(body, functools.partial):
        body = body.func
    called = body if inspect.isroutine(body) else type(body).__call__
    return inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)


def record_outputs(tools: Iterable[Tool]) -> None:
    """Make every function tool keep its final output and replay it, errors and reads too.

    A tool that failed, was answered for and then succeeds on replay would contradict the reply.
    Tools are changed in place, once: they are the agents' own, and all pass by the model.
    """
    tools = list(tools)
    hold_to_decisions(tools)
    for tool in tools:
        if isinstance(tool, FunctionTool):
            record_tool_verdicts(tool)
            give_extractor_value(tool)
            if not isinstance(tool.on_invoke_tool, _Recorded):
                note_errors(tool)
                explain_errors(tool)
                tool.on_invoke_tool = _Recorded(tool, tool.on_invoke_tool)
            if (limit := take_limit(tool)) is not None:
                tool.on_invoke_tool.limit = limit


_NOT_CALLED = (
    "This call was not made: at most {most} tools are called at a time. Repeat it in the next step."
)


class _Recorded:
    """Calls a tool inside its place in the turn, and keeps what it answers.

    Attributes:
        limit: How long a call may take.
    """

    def __init__(
        self,
        tool: FunctionTool,
        invoke: Callable[[ToolContext[Any], str], Awaitable[Any]],
    ) -> None:
        self.limit = NO_LIMIT
        self._tool = tool
        self._invoke = invoke

    async def __call__(self, context: ToolContext[Any], arguments: str) -> Any:
        attempt = current_attempt()
        if attempt is None:
            return await self._outside(context, arguments)
        attempt.lease.check()
        called, call_id = named(context), context.tool_call_id
        if attempt.event_writer is not None:
            attempt.event_writer.called(called, enclosing_call())
        if call_id in attempt.journal.not_called:
            output = _NOT_CALLED.format(most=attempt.journal.caps.step_calls)
            tell_returned(context, output)
            return output
        if call_id in attempt.journal.outputs:
            attempt.journal.own.put_back(attempt.journal.outputs[call_id].context)
        else:
            agent = "" if context.agent is None else storable(context.agent.name)
            try:
                require_digest(call_id, agent, called.name, called.arguments, attempt)
            except NotCarriedOn as changed:
                attempt.refused = changed  # a tool that runs an agent must not go on
                raise
            await self._make(attempt, called, context, arguments)
            if call_id not in attempt.journal.outputs:  # its agent waits for a decision
                return None
        call = attempt.journal.outputs[call_id]
        if call.raised:
            raise self._raised(call)
        answer = attempt.journal.answered[call_id] = cut(call.output, call.told)
        if not self._tool.tool_output_guardrails:  # or the last of them tells it
            tell_returned(context, answer)
        return answer

    async def _make(
        self, attempt: Attempt, called: Called, context: ToolContext[Any], arguments: str
    ) -> None:
        """Call the tool, and record what it gives."""
        call_id, late = called.call_id, False
        attempt.journal.begin_call(call_id)
        attempt.waiting_inside.discard(call_id)
        failpoint(f"before the tool {called.name}")
        try:
            with inside_call(call_id), subsegment(f"tool {context.tool_name}"):
                value = await self.limit.keep(self._invoke(context, arguments))
        except OutOfTime as stopped:
            late, error = True, self.limit.error(called.name)
            error.__cause__ = stopped.__cause__
            tool_failed(context, error)
            value = await self.limit.told(context, error)
        except Exception as failure:
            tool_failed(context, failure)
            if is_of_tool(failure, self._tool, attempt.model_error):
                output = _told(attempt, call_id, str(failure))
                await attempt.journal.record_output(called, output, raised=True)
            raise
        attempt.lease.check()
        if attempt.refused is not None:
            raise attempt.refused  # which the tool's own error function may have hidden
        if call_id in attempt.waiting_inside and agent_of_tool(self._tool) is not None:
            return
        if call_id not in attempt.journal.outputs:
            raised = late and self.limit.raises
            output = _told(attempt, call_id, value)
            await attempt.journal.record_output(called, output, raised=raised)
        if late:  # a transaction of the call's may have been committed before
            attempt.journal.outputs[call_id] = (await attempt.journal.recorded())[call_id]

    def _raised(self, call: ToolCall) -> Exception:
        """Return what a call that is recorded fails the run with."""
        timeout = self.limit.error(call.name)
        if call.error == type(timeout).__name__:
            return timeout
        return RaisedBefore(call.error or "", str(call.output))

    async def _outside(self, context: ToolContext[Any], arguments: str) -> Any:
        """Call the tool outside of a turn, as the SDK does."""
        try:
            return await self.limit.keep(self._invoke(context, arguments))
        except OutOfTime:
            error = self.limit.error(context.tool_name)
        if self.limit.raises:
            raise error
        return await self.limit.told(context, error)


def _told(attempt: Attempt, call_id: str, value: Any) -> Any:
    """Return what the model is told of a value, and keep the value if that is its JSON."""
    output, is_json = told(value)
    if is_json:
        attempt.journal.values[call_id] = value
    return output
