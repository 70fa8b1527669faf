"""Values of tools, made again from their JSON and the name of what it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from parley.turns.values import made_again, made_from

NO_CLASS = object()


class Weather(BaseModel):
    city: str


@dataclass
class Place:
    city: str

    @dataclass
    class Inner:
        name: str


def as_json(value: Any) -> str:
    return TypeAdapter(type(value)).dump_json(value).decode()


@pytest.mark.parametrize(
    "value",
    [
        Weather(city="Oslo"),
        Place("Oslo"),
        Place.Inner("harbour"),
        [Weather(city="Oslo"), Weather(city="Rome")],
        [Place("Oslo")],
        {"zz": 1, "a": [True, None]},
        [1, 2],
        [],
        7,
        None,
    ],
    ids=str,
)
def test_a_value_comes_back_in_its_class(value: Any) -> None:
    again = made_again(as_json(value), made_from(value))

    assert (type(again), again) == (type(value), value)


def test_names_say_module_class_and_list() -> None:
    assert made_from(Place.Inner("x")) == f"{__name__}:Place.Inner"
    assert made_from([Place("x")]) == f"{__name__}:Place[]"


def local_class() -> Any:
    @dataclass
    class Local:
        city: str

    return Local("Oslo")


@pytest.mark.parametrize(
    "value",
    [local_class(), [Place("Oslo"), Weather(city="Rome")], [1]],
    ids=["of a class without a name", "of two classes", "of numbers"],
)
def test_what_could_not_be_found_again_by_its_name_is_taken_as_json(value: Any) -> None:
    assert made_from(value) == "json"


def test_a_list_of_lists_comes_back_as_json() -> None:
    value = [[Place("Oslo")]]

    assert made_again(as_json(value), made_from(value)) == [[{"city": "Oslo"}]]


@pytest.mark.parametrize(
    "name",
    [f"{__name__}:Gone", "gone.module:Place", f"{__name__}:Weather", f"{__name__}:NO_CLASS"],
    ids=["class", "module", "another form", "no class"],
)
def test_of_a_class_that_was_changed_or_taken_away_the_json_is_given(name: str) -> None:
    assert made_again('{"name":"Oslo"}', name) == {"name": "Oslo"}
