"""The agent, with a model that says what each test has it say."""

from __future__ import annotations

import pytest

from parley.testing import Script, Workbench, calls, says
from todo_desk import agent

ADDS: Script = [calls("add_task", title="Buy milk"), says("I have added it.")]
LISTS: Script = [calls("list_tasks"), says("You have to buy milk.")]


def test_what_was_added_is_listed(parley: Workbench) -> None:
    added = parley.run(parley.turn("todo", "Add buy milk", model=ADDS))
    listed = parley.run(
        parley.turn("todo", "What do I have?", model=LISTS, session_id=added.session_id)
    )

    assert added.reply == "I have added it."
    assert [called.output for called in listed.tool_calls] == [[{"title": "Buy milk"}]]


def test_other_users_do_not_see_it(parley: Workbench) -> None:
    parley.run(parley.turn("todo", "Add buy milk", model=ADDS))

    listed = parley.run(parley.turn("todo", "What do I have?", model=LISTS, user="bob"))

    assert [called.output for called in listed.tool_calls] == [[]]


def test_nobody_has_more_tasks_than_one_may_have(
    parley: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "TASKS_MAX", 1)
    parley.run(parley.turn("todo", "Add buy milk", model=ADDS))

    refused = parley.run(parley.turn("todo", "Add buy milk", model=ADDS))
    other = parley.run(parley.turn("todo", "Add buy milk", model=ADDS, user="bob"))

    assert refused.tool_calls[0].output == "The limit max_tasks is 1, and is reached."
    assert other.tool_calls[0].output == "Added “Buy milk”."


def test_a_title_has_a_length_that_is_bounded(parley: Workbench) -> None:
    long = [calls("add_task", title="x" * (agent.TITLE_MAX_CHARS + 1)), says("It is too long.")]

    refused = parley.run(parley.turn("todo", "Add that", model=long))

    assert refused.tool_calls[0].output == "title has more than 500 characters."


def test_a_task_is_added_once_wherever_the_process_dies(parley: Workbench) -> None:
    # Kills the process at every point of this turn, and has another one carry the turn on.
    parley.survives(parley.turn("todo", "Add buy milk", model=ADDS))
