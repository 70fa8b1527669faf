"""A model's answer, read piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from parley.agents.answer_items import message
from parley.runner.model_faults import TRIES, BadAnswer
from parley.runner.model_stream import streamed, text_of
from parley.runner.sdk_private import FAKE_RESPONSES_ID

ITEM = message("hi", id="msg_1")


def event(kind: str, **fields: Any) -> SimpleNamespace:
    return SimpleNamespace(type=kind, **fields)


def delta(text: str) -> SimpleNamespace:
    return event("response.output_text.delta", delta=text)


def response(**fields: Any) -> SimpleNamespace:
    usage = SimpleNamespace(input_tokens=5, output_tokens=3, total_tokens=8)
    return SimpleNamespace(**{"output": [ITEM], "usage": usage, "id": "resp_1"} | fields)


COMPLETED = event("response.completed", response=response())


class Stream:
    """A stream, and whether it was read to its end and closed."""

    def __init__(self, events: Iterable[Any]) -> None:
        self.closed = self.at_end = False
        self.events = self._give(events)

    async def _give(self, events: Iterable[Any]) -> AsyncIterator[Any]:
        try:
            for each in events:
                if isinstance(each, Exception):
                    raise each
                yield each
            self.at_end = True
        finally:
            self.closed = True


async def read(*events: Any) -> tuple[Any, list[str]]:
    told: list[str] = []
    answer = await streamed(Stream(events).events, told.append)
    return answer, told


async def test_text_is_told_as_it_comes_and_the_whole_answer_returned() -> None:
    answer, told = await read(event("response.created"), delta("Hel"), delta("lo"), COMPLETED)

    assert told == ["Hel", "lo"]
    assert (answer.output, answer.response_id) == ([ITEM], "resp_1")
    assert (answer.usage.requests, answer.usage.input_tokens, answer.usage.output_tokens) == (
        1,
        5,
        3,
    )


async def test_so_is_a_refusal() -> None:
    _, told = await read(event("response.refusal.delta", delta="No."), COMPLETED)

    assert told == ["No."]


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([delta("\ud83d"), delta("\ude00")], ["\N{GRINNING FACE}"]),
        (
            [delta("a\ud83d"), event("response.output_text.done")],
            ["a", "\N{REPLACEMENT CHARACTER}"],
        ),
        ([delta("a\ud83d")], ["a", "\N{REPLACEMENT CHARACTER}"]),
    ],
    ids=["two halves", "half a character at the text's end", "at the answer's end"],
)
async def test_a_character_that_is_cut_in_two_is_told_whole(
    events: list[Any], said: list[str]
) -> None:
    _, told = await read(*events, COMPLETED)

    assert told == said


async def test_an_end_without_output_is_filled_from_what_came_before() -> None:
    done = event("response.output_item.done", item=ITEM)

    answer, _ = await read(done, event("response.completed", response=response(output=[])))

    assert answer.output == [ITEM]


@pytest.mark.parametrize("usage", [None, SimpleNamespace(input_tokens=None)])
async def test_a_server_that_counts_no_tokens_is_read_all_the_same(usage: Any) -> None:
    answer, _ = await read(event("response.completed", response=response(usage=usage)))

    assert (answer.usage.input_tokens, answer.usage.total_tokens) == (0, 0)


async def test_an_id_that_the_sdk_made_up_is_none() -> None:
    made_up = response(id=FAKE_RESPONSES_ID)

    answer, _ = await read(event("response.completed", response=made_up))

    assert answer.response_id is None


async def test_what_comes_behind_the_answer_is_read_so_that_the_connection_can_be_used_again() -> (
    None
):
    stream = Stream([COMPLETED, event("response.usage")])

    await streamed(stream.events, lambda _: None)

    assert (stream.at_end, stream.closed) == (True, True)


BAD_ENDS: dict[str, tuple[list[Any], int | None]] = {
    "nothing": ([delta("Hel")], TRIES),
    "an error": ([event("error", code="server_error")], None),
    "failed": (
        [event("response.failed", response=response(error={"code": "server_error"}))],
        None,
    ),
    "cut off": (
        [
            event(
                "response.incomplete",
                response=response(incomplete_details=SimpleNamespace(reason="max_output_tokens")),
            )
        ],
        1,
    ),
}


@pytest.mark.parametrize(("events", "tries"), BAD_ENDS.values(), ids=BAD_ENDS)
async def test_a_stream_that_ends_otherwise_is_no_answer(
    events: list[Any], tries: int | None
) -> None:
    stream = Stream(events)

    with pytest.raises(BadAnswer) as bad:
        await streamed(stream.events, lambda _: None)

    assert bad.value.tries == tries
    assert stream.closed


async def test_tokens_of_one_that_failed_are_known() -> None:
    with pytest.raises(BadAnswer) as bad:
        await read(event("response.failed", response=response(error=None)))

    assert bad.value.usage == {"input_tokens": 5, "output_tokens": 3}


async def test_a_stream_that_breaks_is_closed_and_its_error_told() -> None:
    stream = Stream([delta("Hel"), ConnectionError()])

    with pytest.raises(ConnectionError):
        await streamed(stream.events, lambda _: None)

    assert stream.closed


def test_the_text_of_an_answer_is_that_of_its_messages_and_refusals() -> None:
    output: list[dict[str, Any]] = [
        {"type": "reasoning", "content": [{"type": "output_text", "text": "hm"}]},
        {
            "type": "message",
            "content": [
                {"type": "output_text", "text": "Hello "},
                {"type": "refusal", "refusal": "no"},
                {"type": "output_text", "text": None},
                {"type": "image"},
            ],
        },
        {"type": "message", "content": None},
        {"type": "function_call", "name": "add"},
    ]

    assert text_of(output) == "Hello no"
