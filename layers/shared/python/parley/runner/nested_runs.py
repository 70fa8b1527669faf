"""Runs inside a run: a guardrail or a tool that calls `Runner.run` stays inside its turn.

By itself such a run would ask the SDK's default model at its default address, unrecorded. In a turn
it asks the deployment's provider, or the one it brings, and is recorded below the call that it is
made in. Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from agents import Agent, Model, MultiProvider, RunConfig, RunItemStreamEvent, StreamEvent
from agents.result import RunResult, RunResultStreaming
from agents.run_state import RunState

from parley.runner.agent_graph import UnsupportedAgent, require_recordable_model
from parley.runner.prepare import prepare
from parley.runner.recording_model import RecordingProvider
from parley.runner.sdk_private import AgentRunner as SdkRunner
from parley.runner.sdk_private import get_default_agent_runner, set_default_agent_runner
from parley.runner.tool_errors import tell_error
from parley.runner.tool_results import give_hooks_values, show_values
from parley.turns.attempt import Attempt, attempt_of_body
from parley.turns.scope import enclosing_call


@dataclass(slots=True)
class _Turn:
    """What runs inside a turn's run are given of it.

    Attributes:
        recorder: Records its calls of models.
        loop: The event loop that the turn runs in.
        brought: Runs that other threads wait for.
        over: Whether no more of them may begin.
    """

    attempt: Attempt
    config: RunConfig
    recorder: RecordingProvider
    loop: asyncio.AbstractEventLoop
    brought: set[asyncio.Future[Any]] = field(default_factory=set)
    over: bool = False


_turn: ContextVar[_Turn | None] = ContextVar("parley_turn", default=None)


@asynccontextmanager
async def keeping_runs(
    attempt: Attempt, config: RunConfig, recorder: RecordingProvider
) -> AsyncIterator[None]:
    """Keep every run that is made inside the block inside the turn.

    Args:
        attempt: Whose turn.
        config: How its own run is made.
        recorder: Records its calls of models.
    """
    if not isinstance(get_default_agent_runner(), _Runner):
        set_default_agent_runner(_Runner())
    turn = _Turn(attempt, config, recorder, asyncio.get_running_loop())
    token = _turn.set(turn)
    try:
        yield
    finally:
        _turn.reset(token)
        turn.over = True
        for run in turn.brought:
            run.cancel()
        if turn.brought:
            await asyncio.wait(turn.brought)


class _Runner(SdkRunner):
    """The SDK's runner, outside a turn; inside one, a run of the turn's."""

    async def run(self, starting_agent: Agent[Any], input: Any, **options: Any) -> RunResult:
        turn = _here()
        if turn is None:
            return await super().run(starting_agent, input, **options)
        options["run_config"] = _config(turn, starting_agent, options.get("run_config"))
        if asyncio.get_running_loop() is turn.loop:
            return await self._run_in(turn, starting_agent, input, options)
        # A tool's thread has a loop of its own, which the turn's model and locks do not know.
        return await asyncio.wrap_future(self._bring(turn, starting_agent, input, options))

    def run_sync(self, starting_agent: Agent[Any], input: Any, **options: Any) -> RunResult:
        turn = _here()
        if turn is None or _in_a_loop():  # the SDK refuses the latter
            return super().run_sync(starting_agent, input, **options)
        options["run_config"] = _config(turn, starting_agent, options.get("run_config"))
        return self._bring(turn, starting_agent, input, options).result()

    def _bring(
        self, turn: _Turn, agent: Agent[Any], input: Any, options: dict[str, Any]
    ) -> Future[RunResult]:
        """Have a run made in the turn's loop, on behalf of another thread."""

        async def brought() -> RunResult:
            if turn.over:  # a thread goes on when its turn has ended
                raise asyncio.CancelledError
            run = asyncio.ensure_future(self._run_in(turn, agent, input, options))
            turn.brought.add(run)
            run.add_done_callback(turn.brought.discard)
            return await run

        return asyncio.run_coroutine_threadsafe(brought(), turn.loop)

    async def _run_in(
        self, turn: _Turn, agent: Agent[Any], input: Any, options: dict[str, Any]
    ) -> RunResult:
        give_hooks_values(options.get("hooks"))
        with _place(turn, input, options):
            result = await super().run(agent, input, **options)
        show_values(result.new_items)
        _note_waiting(turn, result)
        return result

    def run_streamed(
        self, starting_agent: Agent[Any], input: Any, **options: Any
    ) -> RunResultStreaming:
        turn = _here()
        if turn is None:
            return super().run_streamed(starting_agent, input, **options)
        if asyncio.get_running_loop() is not turn.loop:
            raise _refused(
                turn.attempt,
                "Runner.run_streamed can be called in an async function_tool only;"
                " Runner.run can in any.",
            )
        options["run_config"] = _config(turn, starting_agent, options.get("run_config"))
        give_hooks_values(options.get("hooks"))
        with _place(turn, input, options):
            result = super().run_streamed(starting_agent, input, **options)
        given = result.stream_events

        async def shown() -> AsyncIterator[StreamEvent]:
            async for event in given():
                if isinstance(event, RunItemStreamEvent):
                    show_values([event.item])
                yield event
            _note_waiting(turn, result)

        result.stream_events = shown  # type: ignore[method-assign]
        return result


def _place(turn: _Turn, input: Any, options: dict[str, Any]) -> AbstractContextManager[None]:
    """Let a run stand by itself; one that goes on after an approval stands where it stood."""
    goes_on = isinstance(input, RunState) and options["run_config"] is turn.config
    return nullcontext() if goes_on else turn.attempt.journal.inside_run()


def _note_waiting(turn: _Turn, result: RunResult | RunResultStreaming) -> None:
    call_id = enclosing_call()
    if call_id is not None and result.interruptions:
        turn.attempt.waiting_inside.add(call_id)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _here() -> _Turn | None:
    if (attempt := attempt_of_body()) is not None:
        raise _refused(
            attempt,
            "The body of an effect_tool or a read_tool cannot run an agent, since its transaction"
            " must not wait for a model; a function_tool can.",
        )
    return _turn.get()


def _config(turn: _Turn, agent: Agent[Any], given: RunConfig | dict[str, Any] | None) -> RunConfig:
    """Return how a run inside the turn is made: as it asks for, but recorded."""
    config = RunConfig(**given) if isinstance(given, dict) else given or RunConfig()
    provider = config.model_provider
    if isinstance(provider, RecordingProvider):  # the turn's own run, or an agent used as a tool
        return config
    recorder, model = turn.recorder, config.model
    try:
        prepare(agent)
        if isinstance(model, Model):
            require_recordable_model(model, "The RunConfig of a run")
    except UnsupportedAgent as unsupported:
        turn.attempt.refused = unsupported
        raise
    default = type(provider) is MultiProvider
    return replace(
        config,
        model_provider=recorder if default else recorder.beside(provider),
        model=recorder.recorded(model) if isinstance(model, Model) else model,
        tracing_disabled=True,
        tool_not_found_behavior="return_error_to_model",
        tool_error_formatter=config.tool_error_formatter or tell_error,
    )


def _refused(attempt: Attempt, reason: str) -> UnsupportedAgent:
    attempt.refused = UnsupportedAgent(reason)
    return attempt.refused
