"""What cannot be taken is refused in our words, with the limit."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from parley.refusals import reason_of


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field("x", min_length=1, max_length=5, pattern="^[a-z]*$")
    count: int = Field(1, ge=1, le=100)
    share: float = Field(0.5, gt=0, lt=1)
    kind: Literal["one", "other"] = "one"
    sure: bool = True
    id: UUID = UUID(int=0)
    time: AwareDatetime | None = None
    inner: dict[str, str] = Field(default_factory=dict)
    several: list[str] = Field(default_factory=list)


class Needed(BaseModel):
    text: str


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"text": 1}, "must be text"),
        ({"text": "abcdef"}, "has more than 5 characters"),
        ({"text": ""}, "is empty"),
        ({"text": "A"}, "must match ^[a-z]*$"),
        ({"count": 0}, "must be at least 1"),
        ({"count": 101}, "must be at most 100"),
        ({"count": "x"}, "must be a whole number"),
        ({"count": 1.5}, "must be a whole number"),
        ({"share": 0}, "must be more than 0.0"),
        ({"share": 1}, "must be less than 1.0"),
        ({"share": "x"}, "must be a number"),
        ({"kind": "third"}, "must be 'one' or 'other'"),
        ({"sure": "perhaps"}, "must be true or false"),
        ({"id": "x"}, "must be a UUID"),
        ({"time": "soon"}, "must be a time with its offset, such as 2026-12-24T18:00:00Z"),
        (
            {"time": "2026-12-24T18:00:00"},
            "must be a time with its offset, such as 2026-12-24T18:00:00Z",
        ),
        ({"inner": 1}, "must be an object"),
        ({"several": 1}, "must be a list"),
        ({"other": 1}, "is not known here"),
    ],
)
def test_a_value_is_refused_in_our_words(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Everything.model_validate(given)

    (fault,) = refused.value.errors()
    assert reason_of(fault) == reason


def test_what_is_missing_is_said() -> None:
    with pytest.raises(ValidationError) as refused:
        Needed.model_validate({})

    assert [reason_of(fault) for fault in refused.value.errors()] == ["is missing"]


def test_what_has_no_words_of_ours_keeps_its_own() -> None:
    assert reason_of({"type": "too_long", "msg": "Has 3 bytes."}) == "Has 3 bytes."
