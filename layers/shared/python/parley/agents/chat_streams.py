"""Chat Completions: streams with their tokens counted, and whole or not at all.

Importing this module imports all of that API's types.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from openai import APIStatusError, AsyncOpenAI, AsyncStream, Omit, omit
from openai.resources.chat import AsyncChat, AsyncCompletions
from openai.types.chat import ChatCompletionStreamOptionsParam

from parley.agents.thoughts import Thoughts
from parley.agents.unwalked import unwalked
from parley.agents.whole_stream import WholeStream

_REFUSING = (400, 422)
_COUNTED: ChatCompletionStreamOptionsParam = {"include_usage": True}


class CarefulChat(AsyncChat):
    """Chat Completions, careful with streams and with a model's thoughts."""

    def __init__(self, client: AsyncOpenAI, thoughts: Thoughts) -> None:
        """Keep what to ask, and what its server wants back."""
        super().__init__(client)
        self._thoughts = thoughts

    @cached_property
    def completions(self) -> AsyncCompletions:
        return _CarefulCompletions(self._client, self._thoughts)


class _CarefulCompletions(AsyncCompletions):
    """Asks for the tokens of a stream, and tells a stream that broke off from one that ended.

    The SDK asks only OpenAI itself for them, since some servers refuse to be asked (Mistral's
    answers 422). One that has refused is not asked again.
    """

    _counts = True

    def __init__(self, client: AsyncOpenAI, thoughts: Thoughts) -> None:
        super().__init__(client)
        self._thoughts = thoughts

    async def create(  # type: ignore[override]
        self,
        *,
        stream: Any = omit,
        stream_options: Any = omit,
        tools: Any = omit,
        extra_body: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> Any:
        messages = self._thoughts.in_messages(arguments["model"], arguments["messages"])
        # The client wants to be given some.
        arguments |= {
            "messages": [],
            "extra_body": unwalked(extra_body, messages=messages, tools=tools),
        }
        if stream is not True:
            return await super().create(stream=stream, stream_options=stream_options, **arguments)
        asks = self._counts and isinstance(stream_options, Omit)
        options = _COUNTED if asks else stream_options
        try:
            given = await super().create(stream=True, stream_options=options, **arguments)
        except APIStatusError as error:
            refused = (
                asks and error.status_code in _REFUSING and "stream_options" in error.response.text
            )
            if not refused:
                raise
            self._counts = False
            given = await super().create(stream=True, **arguments)
        return WholeStream(given) if isinstance(given, AsyncStream) else given
