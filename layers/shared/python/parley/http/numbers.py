"""Numbers, days, and yes and no, as addresses and bodies have them: written in one way only."""

from __future__ import annotations

import re

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_DIGITS = re.compile(r"-?[0-9]+")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _in_digits(given: object) -> object:
    """Return what was given, unless it is text in which a number is not written in digits.

    Pydantic takes all that Python reads as one: `1_0`, `1.0`, ` +1` and the digits of any script.

    Raises:
        PydanticCustomError: It is.
    """
    # A parameter that was given twice is a list, which is refused as any other of its kind.
    if isinstance(given, str) and not _DIGITS.fullmatch(given):
        raise PydanticCustomError("digits", "must be a whole number in digits")
    return given


IN_DIGITS = BeforeValidator(_in_digits)
"""Makes a whole number of a query one in the digits 0 to 9.

Behind the number's limits: those of `Query` come after it and would be none that OpenAPI knows.
"""


def _day(given: object) -> object:
    if isinstance(given, str) and not _DAY.fullmatch(given):
        raise PydanticCustomError("day", "must be a day written as 2026-11-29")
    return given


A_DAY = BeforeValidator(_day)
"""Makes a day of a query one as RFC 3339 has it: Pydantic also takes seconds since 1970."""


def _number(given: object) -> object:
    """Return what was given, unless it is no number of JSON's, which Pydantic makes one of.

    Raises:
        PydanticCustomError: It is text, or true or false.
    """
    if isinstance(given, str | bool):
        raise PydanticCustomError("int_type", "must be a whole number")
    return given


A_NUMBER = BeforeValidator(_number)
"""Makes a whole number of a body one there too: `5` and `5.0` are, `"5"` and `true` are not."""


def _word(given: object) -> object:
    if isinstance(given, str) and given not in ("true", "false"):
        raise PydanticCustomError("bool_word", "must be true or false")
    return given


IN_WORDS = BeforeValidator(_word)
"""Makes yes and no in a query `true` and `false`: Pydantic also takes `1`, `on`, `Y`, …"""
