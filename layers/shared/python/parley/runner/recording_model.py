"""The recorder: model responses are kept as they come, and given back to the next attempt.

Installed through `RunConfig.model_provider`, so that agents reached by handoff and agents used
as tools are recorded too; `brought_models` sends it what agents bring as objects. Importing this
module imports the Agents SDK.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from agents import Model, ModelBehaviorError, ModelProvider, ModelResponse, Usage
from agents.agent_output import AgentOutputSchemaBase
from agents.handoffs import Handoff
from agents.items import TResponseInputItem, TResponseStreamEvent
from agents.model_settings import ModelSettings
from agents.models.interface import ModelTracing
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest
from agents.tool import FunctionTool, Tool
from openai.types.responses import Response, ResponseCompletedEvent, ResponsePromptParam
from pydantic_core import to_json

from parley.failpoints import failpoint
from parley.repository.turns import ModelStep, as_usage
from parley.runner.approvals import as_decided, note_policies
from parley.runner.brought_models import AskedModel, Asking, BroughtModel, name_of
from parley.runner.missing_tools import stand_ins
from parley.runner.model_answer import CALLS, call_ids, recorded, sendable
from parley.runner.model_faults import billed, too_much_in_a_turn
from parley.runner.model_retry import asked
from parley.runner.model_stream import streamed, text_of
from parley.runner.sdk_private import is_mcp_tool
from parley.runner.told_tokens import Heard, hearing
from parley.runner.tools import record_outputs
from parley.text import storable
from parley.tracing import subsegment
from parley.turns.attempt import Attempt
from parley.turns.budget import BudgetExceeded, UnknownPrice
from parley.usage.prices import Prices
from parley.usage.spent import Spent
from parley.usage.tokens import Tokens


class RecordingProvider(ModelProvider):
    """Gives models that record for one attempt."""

    def __init__(
        self,
        provider: ModelProvider,
        attempt: Attempt,
        asking: Asking = AskedModel,
        *,
        brought: bool = False,
    ) -> None:
        """Record a provider's models.

        Args:
            provider: The provider.
            attempt: Whose turn it is.
            asking: Who is asked in the place of models that the project's code brings.
            brought: Whether the provider is one of those that bring them.
        """
        self._provider = provider
        self._attempt = attempt
        self._asking = asking
        self._brought = brought

    def get_model(self, model_name: str | None) -> Model:
        """Return the provider's model of that name, recorded."""
        model = self._provider.get_model(model_name)
        if self._brought:
            return self._recorded(model, self._asking(model), model_name)
        return RecordingModel(model, self._attempt, name_of(model, model_name))

    def recorded(self, model: Model) -> Model:
        """Return a model that the project's code brings, recorded."""
        if isinstance(model, RecordingModel):
            return model
        asked = model.asked_by(self._asking) if isinstance(model, BroughtModel) else None
        return self._recorded(model, asked or self._asking(model))

    def beside(self, provider: ModelProvider) -> RecordingProvider:
        """Return what records another provider's models for the same attempt."""
        return RecordingProvider(provider, self._attempt, self._asking, brought=True)

    def _recorded(self, model: Model, asked: AskedModel, name: str | None = None) -> Model:
        prices = replace(self._attempt.prices, server=asked.server)
        return RecordingModel(asked.model, self._attempt, name_of(model, name), prices)


class RecordingModel(Model):
    """Asks the model only what no earlier attempt has asked."""

    def __init__(
        self,
        model: Model,
        attempt: Attempt,
        name: str | None = None,
        prices: Prices | None = None,
    ) -> None:
        """Record a model's answers.

        Args:
            model: The model.
            attempt: Whose turn it is.
            name: What the model is called; as it says itself if None.
            prices: What it costs; what the agent's models do if None.
        """
        self._model = model
        self._attempt = attempt
        self._name = storable(name or name_of(model))
        self._prices = attempt.prices if prices is None else prices
        self._priced = False

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> ModelResponse:
        """Return the recorded response for this position, or the model's, recorded."""
        self._attempt.lease.check()
        record_outputs(tools)
        journal = self._attempt.journal
        offered = [*(tool.name for tool in tools), *(each.tool_name for each in handoffs)]
        journal.offer(offered)
        position = journal.next_position()
        spending = self._attempt.spending
        expected, cost = 0, 0
        if self._attempt.counts_tokens:
            said = [system_instructions, input, *map(_shown, (*tools, *handoffs))]
            tokens = spending.expected(len(to_json(said)), model_settings.max_tokens)
            expected = (tokens.input or 0) + (tokens.output or 0)
            cost = self._expected_cost(tokens, root="/" not in position)
        if (record := journal.records.get(position)) is not None:
            journal.own.put_back(record.get("context", {}))
            if self._attempt.decisions:
                record = record | {"output": as_decided(record["output"], self._attempt)}
            if record.get("digest") != journal.digest:
                _require_outputs(record["output"], tools, handoffs, self._attempt)
            elif called := record.get("mcp_tools"):
                of_servers = [item for item in record["output"] if item.get("name") in called]
                _require_outputs(of_servers, tools, handoffs, self._attempt)
            self._make_ready(record, tools)
            self._tell_said(position, record)
            for usage in record.get("failed", ()):
                spending.keep(*spending.settle(usage, 0))
            spending.keep(*spending.settle(record["usage"], expected, cost))
            return _response(record)
        event_writer = self._attempt.event_writer
        ask = self._model.get_response
        if event_writer is not None and "/" not in position:
            ask = partial(self._streamed, partial(event_writer.delta, int(position)))
        taken = journal.call_ids | call_ids([] if isinstance(input, str) else input)

        begun = 0.0
        heard = Heard()
        paid: list[tuple[int, int]] = []

        def ended(error: Exception | None, spent: Spent | None) -> None:
            if begun:
                journal.add_step(_step(self._name, begun, error, spent))

        async def once() -> dict[str, Any]:
            nonlocal begun, heard
            begun, heard = 0.0, Heard()
            failpoint("before a model call")
            # Nobody pays for an answer that cannot be recorded.
            with spending.held(expected, cost), subsegment("model call"), hearing(heard):
                self._require_price()
                await self._attempt.allow_call()
                self._require_price()  # a budget in money may just have been heard of
                begun = time.monotonic()
                try:
                    response = await ask(
                        system_instructions,
                        sendable(input, offered),
                        model_settings,
                        tools,
                        output_schema,
                        handoffs,
                        tracing,
                        previous_response_id=previous_response_id,
                        conversation_id=conversation_id,
                        prompt=prompt,
                    )
                except asyncio.CancelledError:  # what it has come to by then nobody tells
                    spending.settle(None, expected, cost)
                    raise
            heard.answer(response.usage)
            record = recorded(response, taken)
            if not journal.add_answer(record):
                raise too_much_in_a_turn(journal.caps.answers_bytes)
            return record

        def failed(error: Exception) -> None:
            tokens = heard.of_failure(billed(error))
            spent = None if tokens is None else self._spent(tokens)
            ended(error, spent)
            if spent is not None:
                journal.count_failed(spent)
            if begun:  # most of what fails is not charged
                paid.append(spending.settle(None if spent is None else as_usage(spent), 0))
            if event_writer is not None and "/" not in position:
                event_writer.void(int(position))

        try:
            record = await asked(once, self._model, failed, again=model_settings.retry is None)
        except Exception as error:
            if isinstance(error, BudgetExceeded | UnknownPrice):
                self._attempt.refused = error  # a tool that runs an agent must not go on
            self._attempt.model_error = error
            step = journal.step_back()  # a retry stands in the same place
            if event_writer is not None and step is not None:
                event_writer.void(step)
            raise
        spent = self._spent(heard.tokens or Tokens())
        ended(None, spent)
        failpoint("after a model call")
        calls = [item for item in record["output"] if item.get("type") == "function_call"]
        if surplus := [item["call_id"] for item in calls[journal.caps.step_calls :]]:
            record["not_called"] = surplus
        theirs = {tool.name for tool in tools if is_mcp_tool(tool)}
        if called := sorted({item["name"] for item in calls} & theirs):
            record["mcp_tools"] = called  # a server may not have them any more when it is replayed
        record["usage"] = as_usage(spent)
        journal.count(spent)
        paid.append(spending.settle(record["usage"], expected, cost))
        # The root agent's last word is followed by `done`, which holds it.
        if "/" in position or any(item.get("type") in CALLS for item in record["output"]):
            await journal.record_response(position, record)
            for took in paid:
                spending.keep(*took)
            self._tell_said(position, record)
        self._make_ready(record, tools)
        return _response(record)

    def _expected_cost(self, tokens: Tokens, *, root: bool) -> int:
        """Return what a call is taken to cost, in nanodollars; 0 if that is not known."""
        cost = self._prices.cost(self._name, tokens)
        self._priced = cost is not None
        if root:  # the first call of a later turn is held by its begin
            self._attempt.lease.learn_rate(self._prices.rate(self._name))
        return cost or 0

    def _require_price(self) -> None:
        if self._attempt.counts_money and not self._priced:
            raise UnknownPrice(self._name)

    def _spent(self, tokens: Tokens) -> Spent:
        return Spent.on_call(self._name, tokens, self._prices.cost(self._name, tokens))

    def _make_ready(self, record: dict[str, Any], tools: list[Tool]) -> None:
        """Make the tools ready for the calls of a response."""
        self._attempt.journal.not_called.update(record.get("not_called", ()))
        # The SDK looks a response's calls up in this list, and makes it anew for the next call of
        # the model, which so is not offered what stands in here.
        standing_in = stand_ins(record["output"], tools, self._attempt)
        record_outputs(standing_in)
        tools += standing_in
        note_policies(record["output"], tools, self._attempt)

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        """Return what the model knows of asking again."""
        return self._model.get_retry_advice(request)

    async def _streamed(
        self, tell: Callable[[str], None], *asked: Any, **named: Any
    ) -> ModelResponse:
        return await streamed(self._model.stream_response(*asked, **named), tell)

    def _tell_said(self, position: str, record: dict[str, Any]) -> None:
        """Tell what the root agent said before it went on; its reply is told when it is kept."""
        event_writer = self._attempt.event_writer
        if event_writer is None or "/" in position:
            return
        if text := text_of(record["output"]):
            event_writer.said(int(position), text)

    async def stream_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff],
        tracing: ModelTracing,
        *,
        previous_response_id: str | None,
        conversation_id: str | None,
        prompt: ResponsePromptParam | None,
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Yield the response as the one event that the runner needs of it: completed."""
        response = await self.get_response(
            system_instructions,
            input,
            model_settings,
            tools,
            output_schema,
            handoffs,
            tracing,
            previous_response_id=previous_response_id,
            conversation_id=conversation_id,
            prompt=prompt,
        )
        yield completed(response)


def _shown(offered: Tool | Handoff) -> Any:
    """Return what the model is shown of a tool or a handoff, for its size."""
    if isinstance(offered, Handoff):
        return [offered.tool_name, offered.tool_description, offered.input_json_schema]
    if isinstance(offered, FunctionTool):
        return [offered.name, offered.description, offered.params_json_schema]
    return offered.name


def _step(name: str, begun: float, error: Exception | None, spent: Spent | None) -> ModelStep:
    return ModelStep(
        name=name,
        error=None if error is None else type(error).__name__,
        milliseconds=round((time.monotonic() - begun) * 1000),
        ended_at=datetime.now(UTC).isoformat(),
        spent=None if spent is None else spent.to_json(),
    )


def _require_outputs(
    output: Iterable[dict[str, Any]],
    tools: Iterable[Tool],
    handoffs: Iterable[Handoff],
    attempt: Attempt,
) -> None:
    """Let a replayed response go on though a deploy has taken away tools that it calls.

    The recorded output of such a call is given by its id.

    Raises:
        ModelBehaviorError: A call has none. What the tool would have answered cannot be made up
            for, and the model is not told that a tool which it had does not exist.
    """
    there = {tool.name for tool in tools} | {each.tool_name for each in handoffs}
    for item in output:
        if item.get("type") != "function_call" or item["name"] in there:
            continue
        if item["call_id"] not in attempt.journal.outputs:
            attempt.journal.tools_gone = True
            raise ModelBehaviorError(f"the tool {item['name']} is gone")


def _response(record: dict[str, Any]) -> ModelResponse:
    # `construct` builds the SDK's classes without validating: a server may send more or less.
    built = Response.construct(output=record["output"])
    tokens = record["usage"]
    usage = Usage(
        requests=1,
        input_tokens=tokens["input_tokens"],
        output_tokens=tokens["output_tokens"],
        total_tokens=tokens["input_tokens"] + tokens["output_tokens"],
    )
    return ModelResponse(output=built.output, usage=usage, response_id=record["response_id"])


def completed(response: ModelResponse) -> ResponseCompletedEvent:
    """Return a whole answer as the event that ends a stream."""
    return ResponseCompletedEvent.construct(
        type="response.completed",
        sequence_number=0,
        response=Response.construct(
            id=response.response_id or "",
            output=response.output,
            usage={
                "input_tokens": response.usage.input_tokens,
                "output_tokens": response.usage.output_tokens,
                "total_tokens": response.usage.total_tokens,
            },
        ),
    )
