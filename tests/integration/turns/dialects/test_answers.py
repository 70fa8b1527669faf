"""What counts as an answer, and how its text and its tokens are read."""

from __future__ import annotations

from typing import Any

import pytest
from agents import Agent, Runner, Tool, function_tool

from parley.turns.context import TurnContext
from parley_testing.models.dialects import (
    alike,
    called,
    chunks,
    completion,
    either,
    responding,
    response,
    said,
)
from parley_testing.models.server import Said

from .conftest import Conversation

CHAT = pytest.mark.parametrize("which", ["chat_completions"])
RESPONSES = pytest.mark.parametrize("which", ["responses"])
STREAMED = pytest.mark.parametrize("streamed", [True])
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}


def silence(which: str, kind: str) -> Any:
    """Make an answer that holds nothing to go on from."""
    if which == "chat_completions":
        messages: dict[str, dict[str, Any]] = {
            "nothing": {"content": ""},
            "null": {"content": None},
            "blanks": {"content": "\n"},
            "only reasoning": {"content": None, "reasoning_content": "Let me think."},
        }
        return alike(messages[kind])
    outputs: dict[str, list[dict[str, Any]]] = {
        "nothing": [],
        "null": [{**said(""), "content": None}],
        "blanks": [said("\n")],
        "only reasoning": [REASONING],
    }
    return responding(response(*outputs[kind]))


SILENCES = pytest.mark.parametrize("kind", ["nothing", "null", "blanks", "only reasoning"])


@SILENCES
async def test_no_answer_is_asked_for_once_more(
    conversation: Conversation, which: str, kind: str
) -> None:
    conversation.script(silence(which, kind), Said("Here I am."))

    view = await conversation.say()

    assert view.reply is not None
    assert view.reply.content == "Here I am."
    assert (view.turn.model_calls, view.turn.output_tokens) == (2, 14)  # both were billed


@SILENCES
async def test_no_answer_twice_fails_the_turn(
    conversation: Conversation, which: str, kind: str
) -> None:
    conversation.script(silence(which, kind), silence(which, kind))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert "neither text nor a call" in (view.turn.error_detail or "")
    assert (len(conversation.server.asked), view.turn.output_tokens) == (2, 14)


@CHAT
@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource"])
async def test_half_a_text_of_a_server_that_failed_is_no_answer(
    conversation: Conversation, reason: str
) -> None:
    conversation.script(alike({"content": "Half a"}, reason), Said("A whole one."))

    view = await conversation.say()

    assert view.reply is not None
    assert view.reply.content == "A whole one."
    told = [event.data["text"] for event in conversation.events if event.type == "message.delta"]
    resets = [event for event in conversation.events if event.type == "message.reset"]
    assert len(resets) == (1 if conversation.streamed else 0)
    assert "".join(told) == ("Half aA whole one." if conversation.streamed else "")


def cut_off(which: str) -> Any:
    if which == "chat_completions":
        return alike({"content": "Half a"}, "length")
    why = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    return responding(response(said("Half a"), **why))


async def test_an_answer_cut_off_at_its_limit_is_none_and_is_counted(
    conversation: Conversation, which: str
) -> None:
    conversation.script(cut_off(which))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_failed")
    assert "limit of tokens" in (view.turn.error_detail or "")
    counted = (view.turn.model_calls, view.turn.input_tokens, view.turn.output_tokens)
    assert counted == (1, 11, 7)


def refusal(which: str) -> Any:
    if which == "chat_completions":
        return alike({"content": None, "refusal": "I would rather not."})
    part = {"type": "refusal", "refusal": "I would rather not."}
    return responding(response({**said(""), "content": [part]}))


async def test_a_refusal_is_the_reply(conversation: Conversation, which: str) -> None:
    conversation.script(refusal(which), Said("Fine."))

    view = await conversation.say()
    await conversation.say("Why?")

    assert view.reply is not None
    assert view.reply.content == "I would rather not."
    assert conversation.last_input[-2]["content"] == "I would rather not."


async def test_a_refusal_to_fill_a_form_has_a_code_of_its_own_and_its_words(
    conversation: Conversation, which: str
) -> None:
    conversation.bench.agent = Agent[TurnContext](name="todo", output_type=list[str])
    conversation.script(refusal(which))

    view = await conversation.say()

    assert (view.turn.status, view.turn.error_code) == ("failed", "model_refused")
    assert "I would rather not." in (view.turn.error_detail or "")


@function_tool
async def ask(input: str) -> str:
    """Ask another agent."""
    return str((await Runner.run(Agent[Any](name="other"), input)).final_output)


@pytest.mark.parametrize(
    "tool",
    [
        pytest.param(Agent[Any](name="other").as_tool("ask", "Ask."), id="an agent"),
        pytest.param(
            Agent[Any](name="other", output_type=list[str]).as_tool("ask", "Ask."),
            id="one that promises a form",
        ),
        pytest.param(ask, id="a run of one's own"),
    ],
)
async def test_an_agent_is_told_what_another_refused_with(
    conversation: Conversation, which: str, tool: Tool
) -> None:
    conversation.bench.agent = Agent[TurnContext](name="todo", tools=[tool])
    asking = {"name": "ask", "arguments": '{"input": "Why?"}'}
    call = {"id": "call_0", "type": "function", "index": 0, "function": asking}
    chat = which == "chat_completions"
    conversation.script(
        alike({"tool_calls": [call]}, "tool_calls")
        if chat
        else responding(response(called(**asking))),
        refusal(which),
        Said("It would rather not."),
    )

    view = await conversation.say()

    assert view.turn.status == "completed", view.turn.error_detail
    output = conversation.last_input[-1]
    assert output["content" if chat else "output"] == "The model refused: I would rather not."


@STREAMED
async def test_a_character_cut_in_two_is_whole(conversation: Conversation, which: str) -> None:
    pieces = ["Hi \ud83d", "\ude00!"]
    if which == "chat_completions":
        conversation.script(chunks(*({"content": piece} for piece in pieces)))
    else:
        at = {"output_index": 0, "item_id": "msg_1", "content_index": 0}
        delta = "response.output_text.delta"
        told = ({"type": delta, "delta": piece, **at} for piece in pieces)
        conversation.script(responding(response(said("".join(pieces))), *told))

    view = await conversation.say()

    assert view.reply is not None
    assert view.reply.content == "Hi \N{GRINNING FACE}!"
    told_text = [
        event.data["text"] for event in conversation.events if event.type == "message.delta"
    ]
    assert "".join(told_text) == "Hi \N{GRINNING FACE}!"


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 11.5, "completion_tokens": 7.0, "total_tokens": 18.5}, (12, 7)),
        ({"prompt_tokens": 11, "completion_tokens": None}, (11, 0)),
        ({"completion_tokens": 7}, (0, 7)),
        ({"prompt_tokens": "eleven", "completion_tokens": -7, "total_tokens": None}, (0, 0)),
        ({"prompt_tokens": 11, "prompt_tokens_details": {"cached_tokens": 1.5}}, (11, 0)),
        ({"prompt_tokens": 11, "prompt_tokens_details": [], "completion_tokens": 7}, (11, 7)),
        (None, (0, 0)),
        ("none", (0, 0)),
    ],
)
async def test_tokens_are_whole_numbers_whatever_is_sent(
    conversation: Conversation, which: str, usage: Any, counted: tuple[int, int]
) -> None:
    if which == "responses":
        usage = renamed(usage)
        conversation.script(responding(response(said("Hi"), usage=usage)))
    else:
        whole, stream = completion({"content": "Hi"}, usage=usage), chunks({"content": "Hi"},
                                                                         usage=usage)  # fmt: skip
        conversation.script(either(whole, stream))

    view = await conversation.say()

    assert view.turn.status == "completed", view.turn.error_detail
    assert (view.turn.input_tokens, view.turn.output_tokens) == counted


def renamed(usage: Any) -> Any:
    if not isinstance(usage, dict):
        return usage
    names = {"prompt": "input", "completion": "output"}
    return {
        next((key.replace(old, new) for old, new in names.items() if old in key), key): value
        for key, value in usage.items()
    }


@CHAT
async def test_content_that_is_a_list_is_read(conversation: Conversation) -> None:
    """Mistral's servers think this way: magistral-medium, reasoning in a part of its own."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    reference = {"type": "reference", "reference_ids": [1]}
    texts = [{"type": "text", "text": text} for text in ("Hi ", "there.")]
    content = [thought, texts[0], reference, texts[1]]
    conversation.script(alike({"content": content}))

    view = await conversation.say()

    assert view.reply is not None
    assert view.reply.content == "Hi there."


@CHAT
@pytest.mark.parametrize(
    "field",
    [
        {"reasoning": 5},
        {"reasoning_content": ["Hm."]},
        {"refusal": {}},
        {"thinking_blocks": 5},
        {"annotations": "none"},
        {"audio": {"id": "audio_1"}},
        {"role": "tool"},
        {"tool_calls": "none"},
    ],
    ids=lambda field: next(iter(field)),
)
async def test_a_field_that_cannot_be_read_takes_nothing_from_the_text(
    conversation: Conversation, field: dict[str, Any]
) -> None:
    conversation.script(alike({"content": "Hi there.", **field}))

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "Hi there."


@RESPONSES
@pytest.mark.parametrize(
    "beside", [{"type": "of_next_year", "id": "x_1"}, {"type": None}, {**said(""), "content": []}]
)
async def test_an_item_that_is_not_known_is_passed_over(
    conversation: Conversation, beside: dict[str, Any]
) -> None:
    conversation.script(
        responding(response(beside, called("list_tasks", "{}"))),
        responding(response(beside)),
        responding(response(beside, said("None."))),
    )

    view = await conversation.say()

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "None."
    assert view.turn.model_calls == 3


@RESPONSES
@pytest.mark.parametrize(
    "message",
    [
        {"role": None},
        {"content": {"type": "output_text", "text": "Hi there."}},
        {"content": [{"type": "text", "text": "Hi there.", "annotations": None}]},
        {"content": [None, {"type": "output_text", "text": None}, *said("Hi there.")["content"]]},
    ],
)
async def test_a_message_in_another_form_is_read(
    conversation: Conversation, message: dict[str, Any]
) -> None:
    conversation.script(responding(response({**said("Hi there."), **message})), Said("Fine."))

    view = await conversation.say()
    await conversation.say("thanks")

    assert view.reply is not None, view.turn.error_detail
    assert view.reply.content == "Hi there."
    assert conversation.last_input[1] == {"role": "assistant", "content": "Hi there."}


@RESPONSES
async def test_content_that_is_a_text_is_read(conversation: Conversation) -> None:
    item = {**said(""), "content": "Hi there."}
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    conversation.script(responding(response(item), done))

    view = await conversation.say()

    assert view.reply is not None
    assert view.reply.content == "Hi there."


@RESPONSES
@STREAMED
async def test_an_end_without_output_is_filled_from_what_came_before(
    conversation: Conversation,
) -> None:
    item = called("list_tasks", "{}")
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    conversation.script(responding(response(output=None), done), Said("None."))

    view = await conversation.say()

    assert view.reply is not None
    assert view.turn.model_calls == 2
