"""What servers tell of tokens, in the ways that were reported of them: both APIs, both modes."""

from __future__ import annotations

from typing import Any

import pytest

from parley.usage.tokens import Tokens
from parley_testing.models.dialects import (
    chunks,
    completion,
    either,
    events,
    responding,
    response,
    said,
)
from parley_testing.models.server import Said

from .conftest import Conversation

CHAT = pytest.mark.parametrize("which", ["chat_completions"])
STREAMED = pytest.mark.parametrize("streamed", [True])
NAMES = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens_details": "output_tokens_details",
}


def answering(which: str, usage: Any) -> Any:
    """Make a step that says hi, whole and as a stream, with what it came to."""
    if which == "chat_completions":
        whole = completion({"content": "Hi"}, usage=usage)
        return either(whole, chunks({"content": "Hi"}, usage=usage))
    if isinstance(usage, dict):
        usage = {NAMES.get(name, name): value for name, value in usage.items()}
    return responding(response(said("Hi"), usage=usage))


CACHED = {"prompt_tokens_details": {"cached_tokens": 1_920}}
REPORTED = {
    "as OpenAI tells it": (
        {
            "prompt_tokens": 2_006,
            "completion_tokens": 300,
            "total_tokens": 2_306,
            **CACHED,
            "completion_tokens_details": {"reasoning_tokens": 64},
        },
        Tokens(2_006, 1_920, None, 300, 64),
    ),
    "cached tokens beside the input (AstrBot #9905, pi #2048)": (
        {"prompt_tokens": 548, "completion_tokens": 435, "total_tokens": 983}
        | {"prompt_tokens_details": {"cached_tokens": 7_000}},
        Tokens(7_548, 7_000, None, 435, None),
    ),
    "reasoning beside the output (CLIProxyAPI #5733)": (
        {"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81}
        | {"completion_tokens_details": {"reasoning_tokens": 60}},
        Tokens(21, None, None, 60, 60),
    ),
    "thoughts in the total only (clarifai-python #978)": (
        {"prompt_tokens": 20, "completion_tokens": 424, "total_tokens": 1_016},
        Tokens(20, None, None, 996, None),
    ),
    "null details (omlx #919)": (
        {"prompt_tokens": 15, "completion_tokens": 3, "total_tokens": 18}
        | {"prompt_tokens_details": None, "completion_tokens_details": {"reasoning_tokens": None}},
        Tokens(15, None, None, 3, None),
    ),
    "DeepSeek's own names": (
        {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105}
        | {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36},
        Tokens(100, 64, None, 5, None),
    ),
    "what no call can take": (
        {"prompt_tokens": 10**20, "completion_tokens": -3, "total_tokens": None}
        | {"prompt_tokens_details": {"cached_tokens": "many"}},
        Tokens(),
    ),
    "nothing": (None, Tokens()),
}


@pytest.mark.parametrize(("usage", "known"), REPORTED.values(), ids=REPORTED)
async def test_what_is_told_is_kept_and_what_is_not_stays_unknown(
    conversation: Conversation, which: str, usage: Any, known: Tokens
) -> None:
    """The SDK's own account has 0 for what was not told."""
    conversation.script(answering(which, usage))

    spent = (await conversation.say()).turn.spent

    assert (spent.input, spent.cached, spent.output, spent.reasoning) == (
        known.input,
        known.cached,
        known.output,
        known.reasoning,
    )
    assert (spent.calls, spent.uncounted) == (1, int(not known.are_counted))


def saying_nothing(which: str, usage: Any) -> Any:
    """Make a step that answers with no text, whole and as a stream."""
    if which == "chat_completions":
        return either(completion({"content": ""}, usage=usage), chunks(usage=usage))
    return responding(response(usage=usage))


def cut_off(which: str, usage: Any) -> Any:
    """Make a step whose answer reaches its limit of tokens, whole and as a stream."""
    if which == "chat_completions":
        message = {"content": "Hi"}
        whole = completion(message, "length", usage=usage)
        return either(whole, chunks(message, finish_reason="length", usage=usage))
    ended = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    return responding(response(said("Hi"), usage=usage, **ended))


@pytest.mark.parametrize(("step", "tries"), [(saying_nothing, 2), (cut_off, 1)])
@pytest.mark.parametrize("told", [True, False])
async def test_an_answer_of_no_use_counts_where_its_tokens_are_told_and_never_as_none(
    conversation: Conversation, which: str, step: Any, tries: int, told: bool
) -> None:
    """Given a server that tells none, then they are unknown, not 0 tokens for 0 dollars."""
    names = ("input_tokens", "output_tokens", "total_tokens")
    if which == "chat_completions":
        names = ("prompt_tokens", "completion_tokens", "total_tokens")
    usage = dict(zip(names, (11, 7, 18), strict=True)) if told else None
    conversation.script(*[step(which, usage)] * tries)

    turn = (await conversation.say()).turn

    assert turn.status == "failed"
    spent = turn.spent
    calls = tries if told else 0
    assert (spent.calls, spent.input, spent.output) == (calls, 11 * calls, 7 * calls)
    assert spent.uncounted == 0


@CHAT
@STREAMED
async def test_a_stream_that_counts_in_each_chunk_is_counted_once(
    conversation: Conversation,
) -> None:
    """Given cumulative counts, as Gemini's servers send them (open-webui #29064, ogx #5122)."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    told: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": end}]}
        | {"usage": {"prompt_tokens": 30, "completion_tokens": n, "total_tokens": 30 + n}}
        for n, (text, end) in enumerate((("H", None), ("i", None), ("!", "stop")), 1)
    ]
    last: dict[str, Any] = {"choices": [], "usage": None}
    conversation.script(events(*({**head, **chunk} for chunk in [*told, last]), done=True))

    spent = (await conversation.say()).turn.spent

    assert (spent.input, spent.output, spent.uncounted) == (30, 3, 0)


async def test_a_call_of_no_use_is_counted_with_all_that_was_told(
    conversation: Conversation, which: str
) -> None:
    """Given an answer that holds nothing, then its cached tokens count as well."""
    usage = {"prompt_tokens": 50, "completion_tokens": 2, "total_tokens": 52}
    usage |= {"prompt_tokens_details": {"cached_tokens": 40}}  # type: ignore[dict-item]
    empty: Any
    if which == "chat_completions":
        empty = either(completion({"content": ""}, usage=usage), chunks({}, usage=usage))
    else:
        empty = responding(
            response(usage={NAMES.get(name, name): value for name, value in usage.items()})
        )
    conversation.script(empty, Said("Here I am."))

    view = await conversation.say()

    assert view.reply is not None
    assert (view.turn.spent.calls, view.turn.spent.cached) == (2, 40)
