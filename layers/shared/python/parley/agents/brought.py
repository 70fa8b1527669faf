"""Models that agents bring as objects, asked as carefully as the deployment's own.

Of a model of the SDK's, it is OpenAI's client that is replaced, by one that knows what compatible
servers do differently. What other libraries make of their servers' answers is taken as it is.

Importing this module imports the Agents SDK.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from agents import (
    Model,
    ModelResponse,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Usage,
)
from agents.items import TResponseStreamEvent
from agents.retry import ModelRetryAdvice, ModelRetryAdviceRequest
from openai import AsyncAzureOpenAI, AsyncOpenAI
from openai.types.responses import ResponseUsage

from parley.agents.bounds import Bounds
from parley.agents.lean_client import LeanAzureClient, LeanClient
from parley.agents.thoughts import Thoughts
from parley.config import Settings
from parley.runner.brought_models import AskedModel, name_of
from parley.runner.model_faults import TRIES, BadAnswer
from parley.runner.model_stream import streamed
from parley.runner.recording_model import completed
from parley.runner.sdk_private import (
    as_client,
    client_of,
    is_observed,
    provider_managed_retries_disabled,
    with_client,
)
from parley.runner.told_tokens import tell_tokens
from parley.usage.tokens import Tokens, count

_LEAN: dict[type[AsyncOpenAI], type[LeanClient]] = {
    AsyncOpenAI: LeanClient,
    AsyncAzureOpenAI: LeanAzureClient,
}
"""By a client's class; of others nobody knows what they do differently."""

_lean: WeakKeyDictionary[AsyncOpenAI, LeanClient | None] = WeakKeyDictionary()


def asked_for(model: Model, settings: Settings) -> AskedModel:
    """Return who is asked in the place of a model that an agent brings.

    Args:
        model: The model.
        settings: How much of an answer is read, and what becomes of a model's thoughts.
    """
    if isinstance(model, OpenAIChatCompletionsModel | OpenAIResponsesModel):
        client = client_of(model)
        server = "" if client is None else str(client.base_url)
        if client is not None and is_observed(client):
            return AskedModel(_Careful(model, asks_again=True), server)
        # A subclass asks in a way of its own.
        exact = type(model) in (OpenAIChatCompletionsModel, OpenAIResponsesModel)
        if client is not None and exact and (lean := _lean_client(client, settings)) is not None:
            made = with_client(model, lean)
            if isinstance(made, OpenAIChatCompletionsModel):
                made.should_replay_reasoning_content = made.should_replay_reasoning_content or (
                    lambda thought: lean.thoughts.are_wanted(thought.model)
                )
            return AskedModel(made, server)
    else:
        server = str(getattr(model, "base_url", None) or "")
    return AskedModel(_Careful(model), server)


def _lean_client(client: AsyncOpenAI, settings: Settings) -> LeanClient | None:
    if client not in _lean:
        kind = _LEAN.get(type(client))
        lean = None if kind is None else as_client(client, kind)
        if lean is not None:
            lean.max_retries = 0  # the recorder asks again
            lean.bounds = Bounds(settings.model_answer_max_chars)
            lean.thoughts = Thoughts(settings.openai_reasoning, str(client.base_url))
        _lean[client] = lean
    return _lean[client]


class _Careful(Model):
    """A model of a library of its own, or of the project's.

    It is not asked again by its own library and by the recorder. A model that cannot stream
    is asked for its whole answer, and one that can only stream for a stream. One that is not to be
    asked for a stream's tokens is not, and what tells no tokens is not taken to have used none.
    """

    def __init__(self, model: Model, *, asks_again: bool = False) -> None:
        """Keep the model.

        Args:
            model: The model.
            asks_again: Whether it is left to its own client to ask again, since that cannot be
                kept from it.
        """
        self.model = name_of(model)
        self._asks_again = asks_again
        self._brought = model
        self._counts = self._streams = self._answers = True

    async def get_response(
        self,
        system_instructions: Any,
        input: Any,
        model_settings: ModelSettings,
        *others: Any,
        **named: Any,
    ) -> ModelResponse:
        asked = (system_instructions, input, model_settings, *others)
        with self._asked_once(model_settings), _not_cancelled_by_itself():
            if self._answers:
                try:
                    return _counted(await self._brought.get_response(*asked, **named))
                except NotImplementedError:
                    if not self._streams:
                        raise
                    self._answers = False
            async with aclosing(self._events(*asked, **named)) as stream:
                return await streamed(stream, lambda _: None)

    async def stream_response(
        self,
        system_instructions: Any,
        input: Any,
        model_settings: ModelSettings,
        *others: Any,
        **named: Any,
    ) -> AsyncIterator[TResponseStreamEvent]:
        def events(settings: ModelSettings) -> AsyncGenerator[Any]:
            return self._events(system_instructions, input, settings, *others, **named)

        begun = False
        counted = self._counts and model_settings.include_usage is None
        settings = replace(model_settings, include_usage=True) if counted else model_settings
        with self._asked_once(model_settings), _not_cancelled_by_itself():
            try:
                async with aclosing(events(settings)) as stream:
                    async for event in stream:
                        begun = True
                        yield event
                return
            except NotImplementedError:
                if begun:
                    raise
                self._streams = False
            except Exception as error:
                if begun or not counted or "stream_options" not in str(error):
                    raise
                self._counts = False
            if self._streams:
                async with aclosing(events(model_settings)) as stream:
                    async for event in stream:
                        yield event
                return
        response = await self.get_response(
            system_instructions, input, model_settings, *others, **named
        )
        yield completed(response)

    async def _events(self, *asked: Any, **named: Any) -> AsyncGenerator[Any]:
        given: Any = self._brought.stream_response(*asked, **named)
        if inspect.isawaitable(given):  # of one that only says that it cannot
            given = await given
        try:
            async for event in given:
                if event.type == "response.completed":
                    _tell(event.response.usage)
                yield event
        finally:
            if isinstance(given, AsyncGenerator):
                await given.aclose()

    def get_retry_advice(self, request: ModelRetryAdviceRequest) -> ModelRetryAdvice | None:
        """Return what the model knows of asking again."""
        if self._asks_again:
            return ModelRetryAdvice(suggested=False)
        return self._brought.get_retry_advice(request)

    @contextmanager
    def _asked_once(self, settings: ModelSettings) -> Iterator[None]:
        """Have the model's library not ask again, unless the agent has a rule of its own for it."""
        if self._asks_again or settings.retry is not None:
            yield
            return
        with provider_managed_retries_disabled(True):
            yield


@contextmanager
def _not_cancelled_by_itself() -> Iterator[None]:
    """Take it for a fault if a model says that it was cancelled, and nobody has."""
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise BadAnswer("the model's own code cancelled it", tries=TRIES) from error


def _counted(response: ModelResponse) -> ModelResponse:
    """Tell what an answer took, and give it an account that can be added up, if it has none."""
    given: Any = response.usage
    _tell(given if isinstance(given, Usage) else None)
    counts = ("input_tokens", "output_tokens", "total_tokens")
    told = {name: getattr(given, name, None) for name in counts}
    if not isinstance(given, Usage) or any(count(each) != each for each in told.values()):
        known: dict[str, Any] = {name: count(each) or 0 for name, each in told.items()}
        response.usage = Usage(requests=1, **known)
    return response


def _tell(usage: Usage | ResponseUsage | None) -> None:
    if usage is None or not (usage.input_tokens or usage.output_tokens):
        tell_tokens(None)  # the SDK's account has 0 for what nobody told
        return
    sent, made = usage.input_tokens_details, usage.output_tokens_details
    tell_tokens(
        Tokens.told(
            usage.input_tokens,
            usage.output_tokens,
            cached=getattr(sent, "cached_tokens", None),
            cache_write=getattr(sent, "cache_write_tokens", None),
            reasoning=getattr(made, "reasoning_tokens", None),
        )
    )
