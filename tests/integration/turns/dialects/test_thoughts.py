"""A model's thoughts, its words and its calls, sent back as its server wants them.

DeepSeek: "The `reasoning_content` in the thinking mode must be passed back to the API." Kimi:
"thinking is enabled but reasoning_content is missing in assistant tool call message at index 2".
"""

from __future__ import annotations

from typing import Any

import pytest

from parley_testing.models.dialects import alike, called, chunks, responding, response, said
from parley_testing.models.server import Asked, Raw, Said

from .conftest import Conversation

CHAT = pytest.mark.parametrize("which", ["chat_completions"])
STREAMED = pytest.mark.parametrize("streamed", [True])
CALL: dict[str, Any] = {"id": "c", "type": "function", "index": 0}
CALL["function"] = {"name": "list_tasks", "arguments": "{}"}


def strict(*steps: Any) -> Any:
    """A server that refuses a conversation in which a call stands without thoughts."""
    left = list(steps)

    def step(asked: Asked) -> Any:
        for place, message in enumerate(asked.input):
            if message.get("tool_calls") and "reasoning_content" not in message:
                said = f"reasoning_content is missing in assistant tool call message at {place}"
                return Raw(400, b'{"error": {"message": "%s"}}' % said.encode())
        given = left.pop(0)
        return given(asked) if callable(given) else given

    return step


def thoughts(asked: Asked, field: str = "reasoning_content") -> list[Any]:
    return [message[field] for message in asked.input if field in message]


def calling(**fields: Any) -> Any:
    return alike({"content": None, "tool_calls": [CALL], **fields}, "tool_calls")


@CHAT
@pytest.mark.parametrize("name", ["deepseek-v4-flash", "kimi-k2.5", "accounts/x/Kimi-K2p6"])
async def test_they_stay_with_their_call_for_who_wants_them(
    conversation: Conversation, name: str
) -> None:
    conversation.bench.agent = conversation.agent_of(name)
    calls = calling(reasoning_content="I look them up.")
    conversation.server.script = strict(calls, Said("None."), Said("Still none."))

    first = await conversation.say("my tasks?")
    second = await conversation.say("and now?")

    assert (first.turn.status, second.turn.status) == ("completed", "completed")
    assert [thoughts(asked) for asked in conversation.server.asked] == [
        [],
        ["I look them up."],
        ["I look them up."],
    ]


@CHAT
async def test_others_get_none(conversation: Conversation) -> None:
    conversation.script(calling(reasoning_content="I look."), Said("None."), Said("None."))

    await conversation.say()
    await conversation.say()

    assert [thoughts(asked) for asked in conversation.server.asked] == [[], [], []]


@CHAT
@pytest.mark.parametrize("settings", [{"openai_reasoning": "returned"}])
async def test_others_get_them_if_the_deployment_says_so(conversation: Conversation) -> None:
    calls = calling(reasoning_content="I look them up.")
    conversation.server.script = strict(calls, Said("None."), Said("None."))

    view = await conversation.say()
    again = await conversation.say()

    assert (view.turn.status, again.turn.status) == ("completed", "completed")
    assert thoughts(conversation.server.asked[-1]) == ["I look them up."]


@CHAT
@pytest.mark.parametrize("settings", [{"openai_reasoning": "returned"}])
async def test_a_call_whose_thoughts_are_not_known_has_the_field_all_the_same(
    conversation: Conversation,
) -> None:
    conversation.server.script = strict(calling(), Said("None."), Said("None."))

    view = await conversation.say()
    again = await conversation.say()

    assert (view.turn.status, again.turn.status) == ("completed", "completed")
    assert thoughts(conversation.server.asked[-1]) == [""]


@CHAT
async def test_thoughts_by_the_other_name_come_back_to_their_model(
    conversation: Conversation,
) -> None:
    """Newer vLLM, and OpenRouter, call them `reasoning`; the SDK returns them within the turn."""
    conversation.script(calling(reasoning="I look."), Said("None."), Said("None."))

    await conversation.say()
    await conversation.say()

    told = [thoughts(asked, "reasoning") for asked in conversation.server.asked]
    assert told == [[], ["I look."], ["I look."]]


@CHAT
@pytest.mark.parametrize("settings", [{"openai_reasoning": "dropped"}])
@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_nobody_gets_any_if_the_deployment_says_so(
    conversation: Conversation, field: str
) -> None:
    conversation.bench.agent = conversation.agent_of("deepseek-reasoner")
    conversation.script(calling(**{field: "I look."}), Said("None."), Said("None."))

    await conversation.say()
    await conversation.say()

    assert [thoughts(asked, field) for asked in conversation.server.asked] == [[], [], []]


@CHAT
@STREAMED
async def test_words_after_a_call_are_sent_with_it(conversation: Conversation) -> None:
    """The server, as all do, refuses whatever stands between a call and its output."""
    deltas: list[dict[str, Any]] = [{"tool_calls": [CALL]}, {"content": "Let me see."}]
    conversation.script(chunks(*deltas, finish_reason="tool_calls"), Said("None."), Said("Fine."))

    view = await conversation.say()
    again = await conversation.say("thanks")

    assert (view.turn.status, again.turn.status) == ("completed", "completed")
    made, output = conversation.last_input[2:4]
    assert made["content"] == "Let me see."
    assert made["tool_calls"][0]["id"] == output["tool_call_id"]


@CHAT
async def test_thoughts_words_and_a_call_stay_one_message(conversation: Conversation) -> None:
    conversation.bench.agent = conversation.agent_of("deepseek-chat")
    message = {"content": "Let me see.", "reasoning_content": "I look them up."}
    conversation.script(calling(**message), Said("None."), Said("Fine."))

    await conversation.say()
    await conversation.say("thanks")

    made = conversation.last_input[2]
    assert {key: made[key] for key in message} == message
    assert made["tool_calls"][0]["function"]["name"] == "list_tasks"


@pytest.mark.parametrize("which", ["responses"])
async def test_a_phase_comes_back(conversation: Conversation) -> None:
    commentary = {**said("Let me see."), "phase": "commentary"}
    final = {**said("None."), "phase": "final_answer"}
    conversation.script(
        responding(response(commentary, called("list_tasks", "{}"))),
        responding(response(final)),
        Said("Fine."),
    )

    await conversation.say()
    await conversation.say("thanks")

    phases = [item.get("phase") for item in conversation.last_input]
    assert phases == [None, "commentary", None, None, "final_answer", None]
