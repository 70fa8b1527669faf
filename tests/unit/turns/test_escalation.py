"""Handing a conversation over to a person: of the turn's own session, with a reason that fits."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

import pytest
from sqlalchemy import Connection

import parley
from parley.errors import InvalidField


class Recording:
    """A connection that keeps the values of what it is to carry out."""

    def __init__(self) -> None:
        self.given: list[dict[str, Any]] = []

    def execute(self, statement: Any) -> None:
        self.given.append(statement.compile().params)


def effect(recording: Recording) -> parley.Effect:
    return parley.Effect(cast("Connection", recording), "ada", uuid4(), uuid4(), "call")


def test_the_session_of_the_turn_waits_with_the_reason() -> None:
    recording = Recording()
    asked = effect(recording)

    parley.escalate(asked, "  My parcel is lost.\0 ")

    (values,) = recording.given
    assert (values["status"], values["id_1"]) == ("escalated", asked.session_id)
    assert values["status_reason"].startswith("My parcel is lost.")
    assert "\0" not in values["status_reason"]


@pytest.mark.parametrize(("reason", "why"), [(" ", "is empty"), ("x" * 1001, "more than 1000")])
def test_a_reason_that_does_not_fit_changes_nothing(reason: str, why: str) -> None:
    recording = Recording()

    with pytest.raises(InvalidField, match=why):
        parley.escalate(effect(recording), reason)

    assert recording.given == []
