"""What is taken for a whole number in an address."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import TypeAdapter, ValidationError

from parley.http.numbers import IN_DIGITS

NUMBER: TypeAdapter[int] = TypeAdapter(Annotated[int, IN_DIGITS])


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("007", 7), ("-7", -7), ("0", 0)])
def test_digits_are_a_number(text: str, number: int) -> None:
    assert NUMBER.validate_python(text) == number


@pytest.mark.parametrize("given", ["1_0", "1.0", "+1", " 1", "1\n", "\u0661", "", "9" * 5000])
def test_other_text_is_none(given: str) -> None:
    with pytest.raises(ValidationError):
        NUMBER.validate_python(given)


def test_two_numbers_are_none() -> None:
    # As when an address says `limit=1&limit=2`.
    with pytest.raises(ValidationError):
        NUMBER.validate_python(["1", "2"])
