"""Tool calls as compatible servers make them in Chat Completions.

Each is from a public report: calls without type (vLLM, Ollama), without id (Gemini), one index for
all (Ollama, vLLM behind Dynamo) or none (Ollama), arguments that are an object (Ollama).
"""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from parley_testing.models.dialects import alike, called, chunks, responding, response
from parley_testing.models.server import Said

from .conftest import Conversation

CHAT = pytest.mark.parametrize("which", ["chat_completions"])
STREAMED = pytest.mark.parametrize("streamed", [True])


def call(arguments: Any = '{"title": "milk"}', **fields: Any) -> dict[str, Any]:
    made = {"id": "call_0", "type": "function", "index": 0, **fields}
    made = {key: value for key, value in made.items() if value != "left out"}
    return {**made, "function": {"name": "add_task", "arguments": arguments}}


def titles(sql: psycopg.Connection) -> list[str]:
    return [title for (title,) in sql.execute("SELECT title FROM tasks ORDER BY id").fetchall()]


@CHAT
@pytest.mark.parametrize(
    "made",
    [
        call(type="left out"),
        call(type=None),
        call(type="tool"),
        call(id=None),
        call(id=""),
        call(id="left out"),
        call(id=5),
        call(index="left out"),
        call({"title": "milk"}),
    ],
)
async def test_one_that_leaves_something_out_is_made(
    conversation: Conversation, sql: psycopg.Connection, made: dict[str, Any]
) -> None:
    conversation.script(alike({"content": None, "tool_calls": [made]}, "tool_calls"), Said("Ok."))

    view = await conversation.say()

    assert view.turn.status == "completed", view.turn.error_detail
    assert titles(sql) == ["milk"]
    asked, output = conversation.last_input[-2:]
    assert asked["tool_calls"][0]["id"] == output["tool_call_id"] != ""


@CHAT
async def test_one_that_stands_alone_is_made(
    conversation: Conversation, sql: psycopg.Connection
) -> None:
    conversation.script(alike({"tool_calls": call()}, "tool_calls"), Said("Ok."))

    view = await conversation.say()

    assert view.turn.status == "completed", view.turn.error_detail
    assert titles(sql) == ["milk"]


@pytest.mark.parametrize("name", [5, ["add_task"], {}])
async def test_one_whose_name_is_no_text_is_of_no_tool(
    conversation: Conversation, which: str, name: Any
) -> None:
    wrong = (
        alike({"tool_calls": [_named(call(), name)]}, "tool_calls")
        if which == "chat_completions"
        else responding(response(called("", "{}") | {"name": name}))
    )
    conversation.script(wrong, Said("Sorry."))

    view = await conversation.say()

    assert view.turn.status == "completed", view.turn.error_detail
    assert "There is no tool unnamed." in json.dumps(conversation.last_input[-1])


@CHAT
@pytest.mark.parametrize("arguments", [None, "", {}])
async def test_one_without_arguments_is_made(conversation: Conversation, arguments: Any) -> None:
    made = {"id": "c", "type": "function", "index": 0}
    made["function"] = {"name": "list_tasks", "arguments": arguments}
    conversation.script(alike({"tool_calls": [made]}, "tool_calls"), Said("None."))

    view = await conversation.say()

    assert view.turn.status == "completed", view.turn.error_detail
    assert conversation.last_input[-2]["tool_calls"][0]["function"]["arguments"] == "{}"


ONE, TWO = '{"title": "one"}', '{"title": "two"}'
STREAMS = {
    "all at index 0": [[call(ONE, id="a")], [call(TWO, id="b")]],
    "all at index 0 in one chunk": [[call(ONE, id="a"), call(TWO, id="b")]],
    "no index": [[call(ONE, id="a", index="left out")], [call(TWO, id="b", index="left out")]],
    "neither index nor id": [
        [call(ONE, id="left out", index="left out")],
        [call(TWO, id="left out", index="left out")],
    ],
    "all at index 0 without id": [[call(ONE, id=None)], [call(TWO, id=None)]],
    "one id for both": [[call(ONE, index=0)], [call(TWO, index=1)]],
    "all at index 0 in fragments": [
        [call('{"title":', id="a")],
        [{"index": 0, "function": {"arguments": ' "one"}'}}],
        [call('{"title":', id="b")],
        [{"index": 0, "function": {"arguments": ' "two"}'}}],
    ],
    "no index in fragments with their id": [
        [call('{"title":', id="a", index="left out")],
        [call('{"title":', id="b", index="left out")],
        [{"id": "a", "function": {"arguments": ' "one"}'}}],
        [{"id": "b", "function": {"arguments": ' "two"}'}}],
    ],
    "the name in every fragment": [
        [call('{"title":', id="a", index=0)],
        [call(' "one"}', id="a", index=0)],
        [call('{"title":', id="b", index=1)],
        [call(' "two"}', id="b", index=1)],
    ],
    "an id of its own for every fragment": [
        [call('{"title":', id="a", index=0)],
        [{"index": 0, "id": "x", "function": {"arguments": ' "one"}'}}],
        [call('{"title":', id="b", index=1)],
        [{"index": 1, "id": "y", "function": {"arguments": ' "two"}'}}],
    ],
    "as OpenAI does": [
        [call("", id="a", index=0)],
        [{"index": 0, "function": {"arguments": ONE}}],
        [call("", id="b", index=1)],
        [{"index": 1, "function": {"arguments": TWO}}],
    ],
}


@CHAT
@STREAMED
@pytest.mark.parametrize("told", STREAMS.values(), ids=STREAMS.keys())
async def test_two_in_a_stream_stay_two(
    conversation: Conversation, sql: psycopg.Connection, told: list[list[dict[str, Any]]]
) -> None:
    deltas = [{"tool_calls": calls} for calls in told]
    conversation.script(chunks(*deltas, finish_reason="tool_calls"), Said("Ok."))

    view = await conversation.say()

    assert view.turn.status == "completed", view.turn.error_detail
    assert sorted(titles(sql)) == ["one", "two"]


@CHAT
@STREAMED
@pytest.mark.parametrize("begun", [{"index": 0}, {}, {"index": 0, "id": "b"}])
async def test_one_without_a_name_behind_another_does_not_spoil_it(
    conversation: Conversation, sql: psycopg.Connection, begun: dict[str, Any]
) -> None:
    """Which tool it is meant for nobody can tell; the model is told, and the other is made."""
    pieces: list[dict[str, Any]] = [
        call('{"title":', id="a", index=0),
        {"index": 0, "function": {"arguments": ' "one"}'}},
        begun | {"function": {"arguments": '{"title":'}},
        {"index": 0, "function": {"arguments": ' "two"}'}},
    ]
    deltas = [{"tool_calls": [piece]} for piece in pieces]
    conversation.script(chunks(*deltas, finish_reason="tool_calls"), Said("Ok."))

    view = await conversation.say()

    assert view.turn.status == "completed", view.turn.error_detail
    assert titles(sql) == ["one"]
    (*_, told) = conversation.last_input
    assert "There is no tool" in told["content"]


@pytest.mark.parametrize("name", ["", None, "functions.add_task", "add task", "x" * 65])
async def test_one_of_a_tool_that_is_not_there_is_sent_back_by_a_name_that_servers_take(
    conversation: Conversation, sql: psycopg.Connection, which: str, name: str | None
) -> None:
    wrong = (
        alike({"tool_calls": [_named(call(), name)]}, "tool_calls")
        if which == "chat_completions"
        else responding(response(called("add_task", "{}") | {"name": name}))
    )
    right = _calling(which, '{"title": "milk"}')
    conversation.script(wrong, right, Said("Ok."), Said("Fine."))

    view = await conversation.say()
    again = await conversation.say("thanks")

    assert view.turn.status == again.turn.status == "completed", view.turn.error_detail
    assert titles(sql) == ["milk"]
    told = json.dumps(conversation.server.asked[1].input[-1])
    assert f"There is no tool {name or 'unnamed'}." in told


def _named(made: dict[str, Any], name: Any) -> dict[str, Any]:
    return {**made, "function": {**made["function"], "name": name}}


async def test_a_lone_surrogate_in_arguments_is_replaced(
    conversation: Conversation, sql: psycopg.Connection, which: str
) -> None:
    arguments = '{"title": "milk \\ud83d and \\ud83e\\uddc8"}'
    conversation.script(_calling(which, arguments), Said("Ok."))

    view = await conversation.say()

    assert view.turn.status == "completed", view.turn.error_detail
    assert titles(sql) == ["milk \ufffd and \N{BUTTER}"]


@STREAMED
async def test_a_character_cut_in_two_in_arguments_is_whole(
    conversation: Conversation, sql: psycopg.Connection, which: str
) -> None:
    pieces = ['{"title": "\ud83e', '\uddc8"}']
    if which == "chat_completions":
        first, second = (call(piece) for piece in pieces)
        second = {"index": 0, "function": second["function"]}
        step = chunks({"tool_calls": [first]}, {"tool_calls": [second]})
        conversation.script(step, Said("Ok."))
    else:
        conversation.script(responding_to("".join(pieces)), Said("Ok."))

    await conversation.say()

    assert titles(sql) == ["\N{BUTTER}"]


DEEP = '{"title": ' + "[" * 5_000
TOO_DEEP = {
    "deep": DEEP,
    "deep and closed": DEEP + "]" * 5_000 + "}",
    "deep objects": '{"title": ' * 5_000,
    "deep, with what cannot be stored": DEEP.replace("[", '"\\ud83d", "x": [', 1)
    + "]" * 5_000
    + "}",
}


@pytest.mark.parametrize(
    "arguments",
    [
        *('{"title": "mil', "[]", '{"title": NaN}'),
        *(pytest.param(deep, id=name) for name, deep in TOO_DEEP.items()),
    ],
)
async def test_arguments_that_are_no_object_are_told_of_and_not_sent_back(
    conversation: Conversation, sql: psycopg.Connection, which: str, arguments: str
) -> None:
    right = '{"title": "milk"}'
    conversation.script(
        _calling(which, arguments), _calling(which, right), Said("Ok."), Said("Fine.")
    )

    view = await conversation.say()
    await conversation.say("thanks")

    assert view.turn.status == "completed", view.turn.error_detail
    assert titles(sql) == ["milk"]
    for asked in conversation.server.asked[1:]:
        sent = _arguments(asked.input)
        assert all(isinstance(json.loads(each), dict) for each in sent)
        assert arguments not in sent
    output = conversation.server.asked[1].input[-1]
    assert "Invalid JSON input for tool add_task" in str(
        output.get("output", output.get("content"))
    )


def _calling(which: str, arguments: str) -> Any:
    if which == "chat_completions":
        return alike({"tool_calls": [call(arguments)]}, "tool_calls")
    return responding_to(arguments)


def responding_to(arguments: str) -> Any:
    item = called("add_task", arguments)
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    return responding(response(item), done)


def _arguments(items: list[dict[str, Any]]) -> list[str]:
    sent = [item["arguments"] for item in items if "arguments" in item]
    calls = [call for item in items for call in item.get("tool_calls") or ()]
    return sent + [call["function"]["arguments"] for call in calls]


@pytest.mark.parametrize("which", ["responses"])
@pytest.mark.parametrize("arguments", [{"title": "milk"}, '{"title": "milk"}'])
@pytest.mark.parametrize("call_id", [None, "", "call_0"])
async def test_the_other_api_leaves_things_out_too(
    conversation: Conversation, sql: psycopg.Connection, arguments: Any, call_id: str | None
) -> None:
    item = called("add_task", arguments, call_id)
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    conversation.script(responding(response(item), done), Said("Ok."))

    view = await conversation.say()

    assert view.turn.status == "completed", view.turn.error_detail
    assert titles(sql) == ["milk"]
