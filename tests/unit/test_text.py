"""Text and values made storable, whatever is in them."""

from __future__ import annotations

from typing import Any

import pytest

from parley.text import jsonable, not_too_deep


def nested(depth: int) -> Any:
    value: Any = "milk"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("depth", [201, 254, 255, 500])
def test_a_value_that_is_nested_too_deep_for_json_is_its_text(depth: int) -> None:
    assert jsonable(nested(depth)) == str(nested(depth))


def test_a_value_that_is_not_stays_as_it_is() -> None:
    assert jsonable(nested(200)) == nested(200)


@pytest.mark.parametrize("text", ["", "{}", '{"a": "' + "[" * 101 + '"}', "[" * 100 + "]" * 100])
def test_json_that_is_not_too_deep_is_whole(text: str) -> None:
    assert not_too_deep(text) == text


@pytest.mark.parametrize("rest", ["", "]" * 200, '"'])
def test_json_that_is_too_deep_is_cut_there(rest: str) -> None:
    assert not_too_deep("[" * 200 + rest) == "[" * 101
