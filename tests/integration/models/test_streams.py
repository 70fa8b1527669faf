"""Streams of a model's server, in both of OpenAI's APIs, as the provider's models give them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, get_args

import pytest
from agents import Model, ModelBehaviorError, ModelSettings
from agents.models.interface import ModelTracing
from openai import APIConnectionError, APIError, APIStatusError, _models
from openai.types.responses import ResponseStreamEvent

from parley.agents.provider import model_provider
from parley.config import Settings
from parley_testing.models.server import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    Called,
    Gate,
    ModelServer,
    Raw,
    Said,
    Step,
    Streamed,
    in_order,
)
from parley_testing.waiting import until

APIS = pytest.mark.parametrize("which", ["responses", "chat_completions"])
REFUSAL = {
    "message": {
        "detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"]}]
    }
}


@asynccontextmanager
async def serving(which: str, *steps: Step) -> AsyncIterator[tuple[ModelServer, Model]]:
    """A server with a script, and a model that asks it."""
    with ModelServer(in_order(*steps)) as server:
        settings: dict[str, Any] = {
            "openai_api_key": "test",
            "openai_base_url": server.base_url,
            "openai_model": "scripted",
            "openai_api": which,
        }
        provider = model_provider(Settings(**settings))
        try:
            yield server, provider.get_model(None)
        finally:
            await provider.aclose()


def streaming(
    model: Model, *said: str, settings: ModelSettings | None = None
) -> AsyncIterator[Any]:
    return model.stream_response(
        "Be brief.",
        [{"role": "user", "content": text} for text in said or ("hello",)],
        settings or ModelSettings(),
        [],
        None,
        [],
        ModelTracing.DISABLED,
        previous_response_id=None,
        conversation_id=None,
        prompt=None,
    )


async def all_of(model: Model, *said: str, settings: ModelSettings | None = None) -> list[Any]:
    return [event async for event in streaming(model, *said, settings=settings)]


async def collect(model: Model, given: list[Any]) -> None:
    async for event in streaming(model):
        given.append(event)


def deltas(events: list[Any]) -> list[str]:
    return [event.delta for event in events if event.type == "response.output_text.delta"]


@APIS
async def test_a_message_comes_word_by_word_and_whole_at_the_end(which: str) -> None:
    async with serving(which, Said("What do you want?")) as (server, model):
        events = await all_of(model, "one", "two")

    assert deltas(events) == ["What ", "do ", "you ", "want?"]
    last = events[-1]
    assert last.type == "response.completed"
    (message,) = (item for item in last.response.output if item.type == "message")
    assert message.content[0].text == "What do you want?"
    usage = last.response.usage
    assert (usage.input_tokens, usage.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    (asked,) = server.asked
    assert asked.streamed
    assert [item["content"] for item in asked.input][-2:] == ["one", "two"]


@APIS
async def test_the_first_delta_is_there_before_the_model_has_said_the_second(which: str) -> None:
    gate = Gate()
    async with (
        serving(which, Streamed("Hel", gate, "lo")) as (_, model),
        aclosing(streaming(model)) as stream,  # type: ignore[type-var]
    ):
        early = []
        async for event in stream:
            early.append(event)
            if deltas(early):
                break
        gate.open()
        late = [event async for event in stream]

    assert (deltas(early), deltas(late)) == (["Hel"], ["lo"])


@APIS
async def test_calls_come_after_what_was_said(which: str) -> None:
    two = [Called("add_task", {"title": "one"}), Called("list_tasks", call_id="call_1")]
    async with serving(which, Streamed("Let me ", "see.", calls=two)) as (_, model):
        events = await all_of(model)

    assert deltas(events) == ["Let me ", "see."]
    calls = [item for item in events[-1].response.output if item.type == "function_call"]
    assert [(call.name, call.call_id) for call in calls] == [
        ("add_task", "call_0"),
        ("list_tasks", "call_1"),
    ]
    assert json.loads(calls[0].arguments) == {"title": "one"}


@APIS
async def test_one_connection_serves_one_stream_after_the_other(which: str) -> None:
    async with serving(which, Said("one"), Said("two"), Said("three")) as (server, model):
        for _ in range(3):
            await all_of(model)

    assert len({asked.connection for asked in server.asked}) == 1


BROKEN = [
    ("responses", "incomplete", ModelBehaviorError),
    ("responses", "failed", ModelBehaviorError),
    ("responses", "error", ModelBehaviorError),
    ("responses", "cut", APIConnectionError),
    ("chat_completions", "error", APIError),
    ("chat_completions", "nothing", ModelBehaviorError),
    ("chat_completions", "cut", APIConnectionError),
]


@pytest.mark.parametrize(("which", "end", "raised"), BROKEN)
async def test_a_stream_that_ends_badly_fails(
    which: str, end: Any, raised: type[Exception]
) -> None:
    async with serving(which, Streamed("Hel", end=end), Said("never asked")) as (server, model):
        given: list[Any] = []
        with pytest.raises(raised):
            await collect(model, given)

    assert deltas(given) == ["Hel"]
    assert not any(event.type == "response.completed" for event in given)
    assert len(server.asked) == 1


async def test_a_stream_of_the_responses_api_that_just_ends_completes_nothing() -> None:
    async with serving("responses", Streamed("Hel", end="nothing")) as (_, model):
        events = await all_of(model)

    assert events[-1].type == "response.output_text.delta"  # which the runner refuses


@APIS
async def test_an_event_that_cannot_be_read_fails(which: str) -> None:
    async with serving(which, Streamed("Hel", b"data: {\n\n", "lo")) as (_, model):
        with pytest.raises(ModelBehaviorError, match="no JSON"):
            await all_of(model)


@APIS
async def test_comments_between_the_events_are_nothing(which: str) -> None:
    async with serving(which, Streamed("Hel", b": still here\n\n", "lo")) as (_, model):
        assert deltas(await all_of(model)) == ["Hel", "lo"]


@APIS
async def test_a_run_that_is_cancelled_hangs_up_on_its_model(which: str) -> None:
    gate = Gate()
    async with serving(which, Streamed("Hel", gate, "lo")) as (server, model):
        run = asyncio.create_task(all_of(model))
        await asyncio.to_thread(gate.reached)

        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await until(lambda: server.abandoned)

    assert len(server.abandoned) == 1


class TestHowAChatCompletionsStreamEnds:
    """Servers are lenient: one of its two marks is enough."""

    async def test_without_a_finish_reason(self) -> None:
        done = b"data: [DONE]\n\n"
        async with serving("chat_completions", Streamed("Hi", done, end="nothing")) as (_, model):
            events = await all_of(model)

        assert events[-1].response.output[0].content[0].text == "Hi"

    async def test_without_done(self) -> None:
        choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
        chunk = b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"
        async with serving("chat_completions", Streamed("Hi", chunk, end="nothing")) as (_, model):
            events = await all_of(model)

        assert events[-1].response.output[0].content[0].text == "Hi"

    async def test_that_is_no_stream(self) -> None:
        async with serving("chat_completions", Raw(200, b'{"choices": []}')) as (_, model):
            with pytest.raises(ModelBehaviorError):
                await all_of(model)


class TestTheTokensOfAChatCompletionsStream:
    """OpenAI and most servers count if asked; some refuse to be asked."""

    async def test_a_server_that_refuses_is_not_asked_again(self) -> None:
        refusal = Raw(422, json.dumps(REFUSAL).encode())
        steps = (refusal, Said("one"), Said("two"))
        async with serving("chat_completions", *steps) as (server, model):
            first = await all_of(model)
            second = await all_of(model)

        assert (deltas(first), deltas(second)) == (["one"], ["two"])
        assert first[-1].response.usage is None
        asked = [request.body.get("stream_options") for request in server.asked]
        assert asked == [{"include_usage": True}, None, None]

    async def test_another_refusal_is_the_model_s(self) -> None:
        async with serving("chat_completions", Raw(422), Said("never asked")) as (server, model):
            with pytest.raises(APIStatusError):
                await all_of(model)

        assert len(server.asked) == 1

    async def test_an_agent_that_wants_none_is_obeyed(self) -> None:
        settings = ModelSettings(include_usage=False)
        async with serving("chat_completions", Said("one")) as (server, model):
            events = await all_of(model, settings=settings)

        assert events[-1].response.usage is None
        assert server.asked[0].body["stream_options"] == {"include_usage": False}


async def test_an_event_is_read_as_what_it_says_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client tries all types of events first, and keeps what is wrong with each for each."""
    tried: list[Any] = []
    validated = _models.validate_type

    def validate(*, type_: Any, value: Any) -> Any:
        tried.append(type_)
        return validated(type_=type_, value=value)

    monkeypatch.setattr(_models, "validate_type", validate)
    async with serving("responses", Said("What do you want?")) as (_, model):
        events = await all_of(model)

    (every_type, *_) = get_args(ResponseStreamEvent)
    assert every_type not in tried
    assert [type(event).__name__ for event in events if event.type == "response.completed"] == [
        "ResponseCompletedEvent"
    ]
    assert deltas(events) == ["What ", "do ", "you ", "want?"]
