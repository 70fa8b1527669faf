"""The states of a turn, as the page on the protocol draws them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import CheckConstraint

from parley.repository.states import OPEN, STATUSES, TRANSITIONS, diagram
from parley.repository.tables import METADATA

PAGE = Path(__file__).parents[2] / "docs" / "turn-protocol.md"


def test_the_diagram_on_the_page_is_that_of_the_table() -> None:
    assert f"```mermaid\n{diagram()}\n```" in PAGE.read_text()


def test_a_turn_that_is_over_never_changes_again() -> None:
    left = {transition.before for transition in TRANSITIONS}

    assert left - {None} == OPEN


def test_every_status_can_be_reached_and_is_one_that_the_table_takes() -> None:
    (check,) = [
        str(each.sqltext)
        for each in METADATA.tables["turns"].constraints
        if isinstance(each, CheckConstraint) and each.name == "ck_turns_status"
    ]

    assert {transition.after for transition in TRANSITIONS} == set(STATUSES)
    assert check == f"status IN ({', '.join(map(repr, STATUSES))})"
