"""The checker of model input finds each rule broken, and takes what is in order."""

from __future__ import annotations

from typing import Any

import pytest

from parley_testing.models.input import RefusedInput, check, name_faults

USER = {"role": "user", "content": "add milk"}
CALL = {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "added"}
THOUGHT = {"type": "reasoning", "id": "r", "summary": []}
ANSWER = {"role": "assistant", "content": "Added."}


def test_takes_a_conversation_in_order() -> None:
    check([USER, THOUGHT, CALL, OUTPUT, THOUGHT, ANSWER, USER])
    check("hello")


@pytest.mark.parametrize(
    ("items", "rule"),
    [
        ([], "empty"),
        ([USER, CALL], "no output"),
        ([USER, OUTPUT], "no call before"),
        ([USER, OUTPUT, CALL], "no call before"),
        ([USER, CALL, OUTPUT, OUTPUT], "no call before"),
        ([USER, CALL, OUTPUT, CALL, OUTPUT], "repeats the call id"),
        ([USER, CALL | {"type": "custom_tool_call", "input": ""}, OUTPUT], "no call before"),
        ([USER, CALL | {"call_id": ""}, OUTPUT | {"call_id": ""}], "without an id"),
        ([USER, CALL | {"name": ""}, OUTPUT], "without a name"),
        ([USER, THOUGHT], "reasoning without"),
        ([USER, THOUGHT, USER], "reasoning without"),
        ([USER | {"role": "human"}], "unknown role"),
        ([USER, {"type": "thing"}], "unknown type"),
        ([USER | {"content": ""}], "no content"),
        ([USER | {"content": []}], "no content"),
        ([USER | {"content": [{"type": "text", "text": "x"}]}], "content of the unknown type"),
        ([USER, CALL, OUTPUT | {"output": None}], "without text"),
    ],
)
def test_refuses(items: list[dict[str, Any]], rule: str) -> None:
    with pytest.raises(RefusedInput, match=rule):
        check(items)


@pytest.mark.parametrize("name", ["functions.add", "add ", "x" * 65])
def test_refuses_a_name_that_is_sent(name: str) -> None:
    assert name_faults([USER, CALL | {"name": name}, OUTPUT])
    assert not name_faults([USER, CALL, OUTPUT])
