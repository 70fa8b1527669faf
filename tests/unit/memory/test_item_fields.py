"""Every field of every kind of item that the installed SDK knows is decided on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

from agents.models.fake_id import FAKE_RESPONSES_ID
from openai.types.responses import ResponseInputItemParam, ResponseOutputItem
from pydantic import BaseModel

from parley.memory.item_fields import DROPPED, DROPPED_KINDS, KEPT
from parley.memory.shape import PLACEHOLDER_ID, lasting

OF_THE_AGENTS_SDK = {"provider_data"}


def members(union: Any) -> Iterator[Any]:
    for member in get_args(union):
        if isinstance(member, type):
            yield member
        else:
            yield from members(member)


def known() -> dict[str, set[str]]:
    """The fields that the SDK's types have, by the kind of the item, as they are on the wire."""
    found: dict[str, set[str]] = defaultdict(set)
    for member in members(ResponseInputItemParam):
        hints = get_type_hints(member)
        found[kind_of(hints["type"])] |= set(hints)
    for member in members(ResponseOutputItem):
        assert issubclass(member, BaseModel)
        fields = member.model_fields
        names = {field.alias or name for name, field in fields.items()}
        found[kind_of(fields["type"].annotation)] |= names
    return found


def kind_of(annotation: Any) -> str:
    values = [value for value in get_args(annotation) if isinstance(value, str)]
    return values[0] if values else kind_of(get_args(annotation)[0])


def test_every_kind_is_decided_on() -> None:
    assert set(KEPT) | set(DROPPED_KINDS) == set(known())
    assert not set(KEPT) & set(DROPPED_KINDS)


def test_every_field_of_a_kind_that_is_kept_is_decided_on() -> None:
    decided = {kind: set(KEPT[kind]) | set(DROPPED[kind]) for kind in KEPT}

    assert {kind: fields - OF_THE_AGENTS_SDK for kind, fields in decided.items()} == {
        kind: known()[kind] for kind in KEPT
    }
    assert not any(set(KEPT[kind]) & set(DROPPED[kind]) for kind in KEPT)


def test_what_the_table_says_is_what_is_done() -> None:
    call = {"type": "function_call", "call_id": "c", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "ok"}
    custom = {"type": "custom_tool_call", "call_id": "d", "input": "x"}
    answer = {"type": "custom_tool_call_output", "call_id": "d", "output": "ok"}
    message = {"type": "message", "role": "assistant", "content": "Hi"}
    thought = {"type": "reasoning", "summary": [], "id": PLACEHOLDER_ID}
    fields = known()

    def full(item: dict[str, Any]) -> dict[str, Any]:
        every = fields[item["type"]] | OF_THE_AGENTS_SDK
        return {**dict.fromkeys(every, "some"), **item}

    given: list[dict[str, Any]] = [thought, call, output, custom, answer, message]
    kept = lasting(full(item) for item in given)

    for item, before in zip(kept, given, strict=True):
        kind = before["type"]
        assert set(item) == set(KEPT[kind]) - ({"type"} if kind == "message" else set())


def test_no_kind_is_kept_that_the_table_drops() -> None:
    assert lasting({"type": kind, "id": "x", "call_id": "c"} for kind in DROPPED_KINDS) == []


def test_the_placeholder_is_the_sdk_s() -> None:
    assert PLACEHOLDER_ID == FAKE_RESPONSES_ID
