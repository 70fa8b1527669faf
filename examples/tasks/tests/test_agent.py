"""The agent, with a model that says what each test has it say."""

from __future__ import annotations

from parley.testing import Script, Workbench, calls, says

ADDS: Script = [calls("add_task", title="Buy milk"), says("I have added it.")]


def test_what_the_agent_adds_is_in_the_list(parley: Workbench) -> None:
    parley.run(parley.turn("todo", "Add buy milk", model=ADDS))

    (task,) = parley.ask("GET", "/tasks").json["items"]

    assert (task["title"], task["completed_at"]) == ("Buy milk", None)


def test_what_is_added_over_http_the_agent_knows(parley: Workbench) -> None:
    parley.ask("POST", "/tasks", {"title": "Buy milk"})
    lists: Script = [calls("list_tasks", completed=False), says("You have to buy milk.")]

    listed = parley.run(parley.turn("todo", "What do I have?", model=lists))

    (output,) = [called.output for called in listed.tool_calls]
    assert [task["title"] for task in output] == ["Buy milk"]


def test_other_users_do_not_see_it(parley: Workbench) -> None:
    made = parley.ask("POST", "/tasks", {"title": "Buy milk"}, user="ada").json

    assert parley.ask("GET", f"/tasks/{made['id']}", user="eve").status == 404
    assert parley.ask("GET", "/tasks", user="eve").json["items"] == []


def test_the_same_key_makes_one_task_also_after_it_was_deleted(parley: Workbench) -> None:
    key = {"Idempotency-Key": "once"}
    made = parley.ask("POST", "/tasks", {"title": "Buy milk"}, headers=key)
    again = parley.ask("POST", "/tasks", {"title": "Buy milk"}, headers=key)

    assert (made.status, again.status, again.json) == (201, 200, made.json)
    assert parley.ask("DELETE", f"/tasks/{made.json['id']}").status == 204
    assert parley.ask("POST", "/tasks", {"title": "Buy milk"}, headers=key).status == 404


def test_a_task_is_added_once_wherever_the_process_dies(parley: Workbench) -> None:
    # Kills the process at every point of this turn, and has another one carry the turn on.
    parley.survives(parley.turn("todo", "Add buy milk", model=ADDS))
