"""What pydantic refuses, in the words of the rest: what is wrong with a value, and its limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WHOLE = "must be a whole number"
_TRUTH = "must be true or false"
_TIME = "must be a time with its offset, such as 2026-12-24T18:00:00Z"
_DAY = "must be a day, such as 2026-12-24"
_OBJECT = "must be an object"

_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "string_type": "must be text",
    "string_too_long": "has more than {max_length} characters",
    "string_too_short": "has fewer than {min_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "datetime_type": _TIME,
    "datetime_parsing": _TIME,
    "datetime_from_date_parsing": _TIME,
    "timezone_aware": _TIME,
    "date_type": _DAY,
    "date_parsing": _DAY,
    "date_from_datetime_parsing": _DAY,
    "date_from_datetime_inexact": _DAY,
    "url_type": "must be an address",
    "url_parsing": "must be an address, such as https://example.com",
    "url_scheme": "must be an address that begins with {expected_schemes}",
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "list_type": "must be a list",
}


def reason_of(fault: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, as the end of a sentence that its field's name begins.

    Args:
        fault: One of the errors that pydantic gives for what it does not take.
    """
    kind, limits = str(fault["type"]), fault.get("ctx") or {}
    if kind == "string_too_short" and limits.get("min_length") == 1:
        return "is empty"
    words = _WORDS.get(kind)
    try:
        return words.format(**limits) if words is not None else str(fault["msg"])
    except KeyError:  # another version's limits have other names
        return str(fault["msg"])
