"""A model's answer as it is recorded, and as it is sent back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agents import ModelResponse, Usage

from parley.agents.answer_items import function_call, message
from parley.runner.model_answer import call_ids, recorded, sendable
from parley.runner.model_faults import BadAnswer

MESSAGE = {
    "type": "message",
    "content": [{"type": "output_text", "text": "hi"}],
}


def call(**fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"} | fields


def answer(*output: Any, **tokens: Any) -> ModelResponse:
    """Return an answer as a server gave it, which nothing has validated."""
    response = ModelResponse(output=[], usage=Usage(), response_id="resp_1")
    response.output = list(output)
    for name, count in ({"input_tokens": 5, "output_tokens": 3} | tokens).items():
        setattr(response.usage, name, count)
    return response


def output_of(*output: Any, taken: set[str] | None = None) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = recorded(answer(*output), taken or set())["output"]
    return made


def test_an_answer_is_kept_as_it_came_with_its_tokens_and_its_id() -> None:
    items: list[Any] = [message("hi", id="msg_1"), function_call("add", '{"a": 1}', call_id="c")]

    assert recorded(
        ModelResponse(output=items, usage=Usage(input_tokens=5), response_id="resp_1"), set()
    ) == {
        "output": [item.model_dump(mode="json", exclude_unset=True) for item in items],
        "usage": {"input_tokens": 5, "output_tokens": 0},
        "response_id": "resp_1",
    }


def test_a_field_that_only_this_server_sends_is_kept() -> None:
    thought = {"type": "reasoning", "summary": [], "signature": "x"}

    assert output_of(thought, MESSAGE)[0] == thought


@pytest.mark.parametrize(
    "silent",
    [
        [],
        [{"type": "reasoning", "summary": []}],
        [{"type": "message", "content": []}],
        [{"type": "message", "content": [{"type": "output_text", "text": " \n"}]}],
        [{"type": "usage_note"}],
    ],
    ids=["no item", "a thought", "an empty message", "spaces", "an unknown item"],
)
def test_an_answer_that_says_nothing_is_none_and_its_tokens_are_counted(silent: list[Any]) -> None:
    with pytest.raises(BadAnswer) as bad:
        recorded(answer(*silent), set())

    assert bad.value.usage == {"input_tokens": 5, "output_tokens": 3}


def test_items_that_the_sdk_does_not_know_are_passed_over() -> None:
    assert output_of({"type": "server_note"}, MESSAGE, {"type": "message"}) == [MESSAGE]


@pytest.mark.parametrize(
    ("sent", "kept"), [(None, 0), (-1, 0), (2.0, 2), (7, 7)], ids=["none", "negative", "2.0", "7"]
)
def test_tokens_are_whole_numbers(sent: Any, kept: int) -> None:
    record = recorded(answer(MESSAGE, input_tokens=sent, output_tokens=sent), set())

    assert record["usage"] == {"input_tokens": kept, "output_tokens": kept}


def test_each_call_of_a_turn_has_an_id_of_its_own() -> None:
    made = output_of(call(), call(call_id="d"), call(call_id="d"), call(call_id=""), taken={"c"})

    ids = [item["call_id"] for item in made]
    assert ids[1] == "d"
    assert len({*ids, "c", ""}) == 6


def test_ids_that_are_taken_are_not_changed_for_the_caller() -> None:
    taken = {"c"}

    output_of(call(), taken=taken)

    assert taken == {"c"}


@pytest.mark.parametrize("left_out", [None, ""])
def test_a_call_that_leaves_something_out_is_one(left_out: str | None) -> None:
    (made,) = output_of(call(name=left_out, arguments=left_out))

    assert (made["name"], made["arguments"]) == ("unnamed", "{}")


def test_what_cannot_be_stored_is_replaced_also_where_it_is_escaped() -> None:
    (made,) = output_of(call(name="a\ud800", arguments='{"a": "\\ud800"}'))

    assert made["name"] == "a\N{REPLACEMENT CHARACTER}"
    assert json.loads(made["arguments"]) == {"a": "\N{REPLACEMENT CHARACTER}"}


def test_arguments_that_nest_without_end_are_cut_off() -> None:
    (made,) = output_of(call(arguments="[" * 100_000))

    assert len(made["arguments"]) < 200


def test_a_call_of_a_custom_tool_is_one_of_a_function() -> None:
    custom = {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "x"}

    assert output_of(custom) == [call(name="patch", arguments='{"input":"x"}')]


def test_the_ids_of_calls_are_found_among_other_items() -> None:
    assert call_ids([MESSAGE, call(call_id="a"), {"type": "message", "call_id": "no"}]) == {"a"}


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("[1]", "{}"),
        ("not JSON", "{}"),
        ('{"a": NaN}', "{}"),
        (None, "{}"),
    ],
)
def test_arguments_are_sent_back_if_any_server_can_read_them(arguments: Any, sent: str) -> None:
    assert sendable([call(arguments=arguments)], ["add"]) == [call(arguments=sent)]


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("functions.add", "functions_add"),
        ("x" * 65, "x" * 64),
        ("", "unnamed"),
        ("with.dots", "with.dots"),
    ],
    ids=["made up", "too long", "empty", "offered"],
)
def test_names_are_sent_back_as_servers_take_them(name: str, sent: str) -> None:
    assert sendable([call(name=name)], ["with.dots"]) == [call(name=sent)]


def test_what_is_no_call_is_sent_as_it_is() -> None:
    said = [{"role": "user", "content": "hi"}, MESSAGE]

    assert sendable(said, []) == said
    assert sendable("hi", []) == "hi"
