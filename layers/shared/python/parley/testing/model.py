"""The scripted model, in the process. Importing this module imports the Agents SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from agents import Model, ModelProvider, ModelResponse, Usage
from agents.items import TResponseStreamEvent
from openai.types.responses import ResponseOutputItem

from parley.agents.answer_items import function_call, message
from parley.agents.offline_stream import streamed
from parley.runner.brought_models import AskedModel, name_of
from parley.testing.recording import Recording
from parley.testing.script import Asked, Calls, Fails, Script, ScriptEnded, answer, call_id
from parley.turns.attempt import current_attempt


class ScriptedProvider(ModelProvider):
    """Gives models that follow one script, whatever their names.

    Attributes:
        script: The turn's.
        recording: Keeps what is asked.
    """

    def __init__(self, script: Script, recording: Recording) -> None:
        self.script = script
        self.recording = recording

    def get_model(self, model_name: str | None) -> Model:
        """Return the model."""
        return _Scripted(self, model_name or "")

    def brought(self, model: Model) -> AskedModel:
        """Return the model that stands in for one that an agent brings as an object."""
        return AskedModel(self.get_model(name_of(model)))


class _Scripted(Model):
    def __init__(self, provider: ScriptedProvider, name: str) -> None:
        self._provider = provider
        self._name = name

    async def get_response(
        self,
        system_instructions: Any,
        input: Any,
        model_settings: Any,
        tools: Any,
        output_schema: Any,
        handoffs: Any,
        *_: Any,
        **__: Any,
    ) -> ModelResponse:
        attempt = current_attempt()
        assert attempt is not None, "a scripted model answers in a turn only"
        place = attempt.journal.position()
        items = [{"role": "user", "content": input}] if isinstance(input, str) else list(input)
        names = [*(tool.name for tool in tools), *(each.tool_name for each in handoffs)]
        asked = Asked(place, self._name, system_instructions, items, names)
        self._provider.recording.asked(asked)
        try:
            given = answer(self._provider.script, asked)
        except ScriptEnded as ended:
            self._provider.recording.wrong(str(ended))
            raise
        if isinstance(given, Fails):
            raise given.error
        output: list[ResponseOutputItem] = []
        for one in given:
            if isinstance(one, Calls):
                number = sum(item.type == "function_call" for item in output)
                id = call_id(attempt.turn.number, place, number)
                arguments = json.dumps(one.arguments)
                output.append(function_call(one.name, arguments, call_id=id, id=f"fc_{id}"))
            else:
                output.append(message(one.text, id="msg_1"))
        return ModelResponse(output, Usage(requests=1), response_id=None)

    async def stream_response(
        self, *args: Any, **named: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        """Yield what `get_response` gives, word by word."""
        async for event in streamed(await self.get_response(*args, **named), words_per_second=None):
            yield event
