"""What is wrong with arguments, by a tool's JSON schema."""

from __future__ import annotations

from typing import Any

import pytest
from agents import function_tool
from pydantic import BaseModel, Field

from parley.turns.tool_schema import fault_of

LINE = {"$defs": {"L": {"properties": {"n": {"type": "integer"}, "next": {"$ref": "#/$defs/L"}}}}}


def of(**schema: Any) -> dict[str, Any]:
    return {"properties": {"a": schema}}


FAULTS: list[tuple[Any, Any, tuple[str | int, ...] | None]] = [
    ({}, {"required": ["a"]}, ("a",)),
    ({"b": 1}, {"properties": {"a": {}}, "additionalProperties": False}, ("b",)),
    ({"b": 1}, {"additionalProperties": {"type": "string"}}, ("b",)),
    ({"b": 1}, {"patternProperties": {"b": {}}, "additionalProperties": False}, None),
    # The first that is not known, not one that a pattern knows.
    (
        {"x-a": 1, "bad": 2},
        {"patternProperties": {"^x-": {}}, "additionalProperties": False},
        ("bad",),
    ),
    ({"b": 1}, {"patternProperties": {"a": {}}, "additionalProperties": {"type": "null"}}, ("b",)),
    ({"ab": 1, "b": "x"}, {"patternProperties": {"^b": {"type": "integer"}}}, ("b",)),
    # Of no engine that is quick with any: it may know the name, or not.
    (
        {"b": 1},
        {"patternProperties": {"(?<=a)b": {"type": "null"}}, "additionalProperties": False},
        None,
    ),
    # Not known to `re`.
    ({"a": "x", "n": 1}, of(pattern=r"^\p{Lu}$"), ("a",)),
    ({"ä": "x"}, {"patternProperties": {r"^\p{L}$": {"type": "integer"}}}, ("ä",)),
    ({"n": 1}, of(pattern=r"\p{L}") | {"required": ["a"]}, ("a",)),
    (
        {"a" * 5000 + "b": 1, "ok": 2},
        {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": {"maximum": 1}},
        ("ok",),
    ),
    (
        {"a" * 5000 + "b": 1},
        {"patternProperties": {"^(a+)+$": {}}, "unevaluatedProperties": False},
        None,  # left to the tool
    ),
    ({"a": [1]}, of(prefixItems=[], unevaluatedItems=False), None),
    ({"a": "1"}, of(type="integer"), ("a",)),
    ({"a": 1.0}, of(type="integer"), None),
    ({"a": 1.5}, of(type="integer"), ("a",)),
    ({"a": True}, of(type="integer"), ("a",)),
    ({"a": True}, of(type="number"), ("a",)),
    ({"a": 1}, of(type="number"), None),
    ({"a": None}, of(type=["string", "null"]), None),
    ({"a": 7}, of(type=["string", "null"]), ("a",)),
    ({"a": 1}, of(enum=[True, "1"]), ("a",)),
    ({"a": 1}, of(enum=[1.0]), None),
    ({"a": [1, True]}, of(const=[1, 1]), ("a",)),
    ({"a": {"b": [0]}}, of(const={"b": [0]}), None),
    ({"a": ""}, of(minLength=1), ("a",)),
    ({"a": "ab"}, of(maxLength=1), ("a",)),
    ({"a": "xab"}, of(pattern="^a"), ("a",)),
    ({"a": "xab"}, of(pattern="a"), None),
    ({"a": "x"}, of(pattern="(?<=a)b"), None),  # of no engine that is quick with any
    ({"a": "a" * 5000 + "b"}, of(pattern="^(a+)+$"), ("a",)),
    ({"a": [1, 2]}, of(maxItems=1), ("a",)),
    ({"a": []}, of(minItems=1), ("a",)),
    ({"a": {}}, of(minProperties=1), ("a",)),
    ({"a": [1, "x"]}, of(items={"type": "integer"}), ("a", 1)),
    ({"a": ["x"]}, of(prefixItems=[{"type": "integer"}], items=False), ("a", 0)),
    ({"a": [1, 1]}, of(prefixItems=[{"type": "integer"}], items=False), ("a",)),
    ({"a": [1, 2, 1]}, of(uniqueItems=True), ("a",)),
    ({"a": [1, True]}, of(uniqueItems=True), None),
    ({"a": [{"n": [1], "m": 0}, {"m": 0.0, "n": [1]}]}, of(uniqueItems=True), ("a",)),
    ({"a": [{"n": 1}, {"n": True}, {"n": "1"}, {"n": None}, {}]}, of(uniqueItems=True), None),
    ({"a": [[], {}, "", 0, False, None, 0.5, 2**70]}, of(uniqueItems=True), None),
    ({"a": [float("inf"), float("inf")]}, of(uniqueItems=True), ("a",)),
    ({"a": [1, 1]}, of(uniqueItems=False), None),
    ({"a": 0}, of(minimum=1), ("a",)),
    ({"a": 2}, of(maximum=1), ("a",)),
    ({"a": 1}, of(exclusiveMinimum=1), ("a",)),
    ({"a": 1}, of(exclusiveMaximum=1), ("a",)),
    ({"a": 3}, of(multipleOf=2), ("a",)),
    ({"a": 0.3}, of(multipleOf=0.1), None),
    ({"a": 3}, of(anyOf=[{"type": "string"}, {"type": "null"}]), ("a",)),
    ({"a": {"b": 1}}, of(anyOf=[{"type": "null"}, {"properties": {"b": False}}]), ("a",)),
    ({"a": 3}, of(oneOf=[{"type": "integer"}, {"minimum": 1}]), ("a",)),
    ({"a": 3}, of(allOf=[{"type": "integer"}, {"minimum": 4}]), ("a",)),
    ({"a": {"n": 1, "next": {"n": "2"}}}, LINE | of(**{"$ref": "#/$defs/L"}), ("a", "next", "n")),
    ({"a": 1}, of(**{"$ref": "https://x.example/other"}), None),
    ({"a": 1}, of(**{"$ref": "#/nowhere"}), None),
    ({"a": 1}, {"$ref": "#"}, None),  # in circles
    ({"a": 1}, of(type="string") | {"$schema": 7}, None),
    ({"a": 1}, of(type="string") | {"$schema": ["x"]}, None),
    ({"a": 1}, of(type="string") | {"$schema": "https://x.example/draft"}, ("a",)),
    ({"a": 3}, of(divisibleBy=2) | {"$schema": "http://json-schema.org/draft-03/schema#"}, ("a",)),
    ({"a": 3}, of(multipleOf=2) | {"$schema": "http://json-schema.org/draft-03/schema#"}, None),
    ({"a": 1}, True, None),
    ({"a": 1}, "none", None),
    ({"a": 1}, of(type="whatever", enum="x", required=3, items=[1], minimum="1"), None),
]


@pytest.mark.parametrize(("value", "schema", "path"), FAULTS)
def test_what_is_wrong_is_named_where_it_is(
    value: Any, schema: Any, path: tuple[str | int, ...] | None
) -> None:
    fault = fault_of(value, schema)

    assert (None if fault is None else fault.path) == path, fault


class Counted(int):
    """A number that counts with how many it was compared."""

    comparisons = 0

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return int(self) == other

    __hash__ = int.__hash__


def test_items_are_not_compared_with_each_other() -> None:
    given = [{"n": Counted(number)} for number in range(300)]

    assert fault_of(given, {"uniqueItems": True}) is None
    fault = fault_of([*given, {"n": 7}], {"uniqueItems": True})

    assert fault is not None
    assert Counted.comparisons < len(given)


class Address(BaseModel):
    street: str = Field(min_length=1)
    number: int | None = None


def test_the_schemas_that_the_sdk_makes_of_functions_are_understood() -> None:
    def send(to: list[Address], urgent: bool = False) -> str:
        """Send a parcel."""
        return "sent"

    for strict in (True, False):
        schema = function_tool(send, strict_mode=strict).params_json_schema
        right = {"to": [{"street": "x", "number": None}], "urgent": True}
        assert fault_of(right, schema) is None
        wrong = {"to": [{"street": "x", "number": "y"}], "urgent": True}
        assert fault_of(wrong, schema) is not None
        fault = fault_of({"to": [{"street": "", "number": 1}], "urgent": True}, schema)
        assert fault is not None
        assert fault.path == ("to", 0, "street")
