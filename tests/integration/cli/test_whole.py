"""Every command against `make dev`, piped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parley_client import AsyncParley, MessageCompleted, MessageDelta, Parley, TurnStarted
from parley_local.postgres import EmbeddedPostgres
from parley_local.stack import LocalStack
from tasks_desk.client import create_task, list_tasks

Run = Callable[..., Any]


@pytest.fixture
def done(parley: Run) -> Callable[..., str]:
    """Run a command that succeeds, and give what it prints."""

    def run(*arguments: str, stdin: str = "") -> str:
        result = parley(*arguments, stdin=stdin)
        assert result.status == 0, result.err
        assert "\x1b" not in result.out
        printed: str = result.out
        return printed

    return run


def objects(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def test_a_session_from_its_beginning_to_its_end(parley: Run, done: Callable[..., str]) -> None:
    me = ("--user", "bela")
    made = done("sessions", "create", "trip", "--agent", "todo", *me).strip()

    done("message", "add pack", "--session", "trip", *me)
    shown = dict(line.split("\t") for line in done("sessions", "show", made, *me).splitlines())
    said = [
        line.split("\t")[1:]
        for line in done("sessions", "show", "trip", "--messages", *me).splitlines()
    ]
    done("sessions", "end", "trip", *me)
    refused = parley("message", "hi", "--session", "trip", *me)
    done("sessions", "reopen", "trip", *me)
    again = done("message", "what do I have", "--session", "trip", *me)
    done("sessions", "delete", "trip", "--yes", *me)

    assert (shown["id"], shown["name"], shown["status"]) == (made, "trip", "active")
    assert said[0] == ["user", "add pack"]
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.startswith("parley: The session is ended:")
    assert "pack" in again
    assert done("sessions", "list", *me) == ""


def test_tasks_are_what_the_agent_keeps(done: Callable[..., str]) -> None:
    me = ("--user", "cleo")
    done("message", "add water the plants", "--session", "home", *me)
    (task,) = objects(done("tasks", "list", "--json", *me))

    ticked = done("tasks", "done", task["id"][-12:], *me)

    assert ticked == "water the plants\n"
    assert done("tasks", "list", *me) == ""
    assert done("tasks", "list", "--done", "--text", "PLANTS", *me).startswith(task["id"] + "\t")


def test_memory_is_counted_and_cleared(done: Callable[..., str]) -> None:
    me = ("--user", "dora")
    done("message", "add x", "--session", "s", *me)
    before = json.loads(done("memory", "show", "s", "--json", *me))

    assert done("memory", "prune", "s", *me) == "turns\t0\n"
    done("memory", "clear", "s", "--yes", *me)
    after = json.loads(done("memory", "show", "s", "--json", *me))

    assert (before["turns"], after["turns"]) == (1, 0)


def test_a_dry_run_says_what_cleanup_then_removes(done: Callable[..., str]) -> None:
    done("message", "add x", "--session", "Session-1", "--user", "emil")
    done("message", "add y", "--session", "kept", "--user", "emil")
    done("sessions", "end", "Session-1", "--user", "emil")
    only = ("--user", "emil", "--name-prefix", "Session-", "--older-than", "0s", "--json")

    would = json.loads(done("cleanup", "--dry-run", *only))
    did = json.loads(done("cleanup", *only))

    assert [session["name"] for session in would["sessions"]] == ["Session-1"]
    assert (would["done"], did["done"]) == (True, True)
    kind = "closed_sessions"
    assert would["kinds"][kind]["items"] == did["kinds"][kind]["items"] == 1
    assert json.loads(done("cleanup", "--dry-run", *only))["kinds"][kind]["found"] == 0


def test_a_user_is_exported_and_erased(done: Callable[..., str], tmp_path: Path) -> None:
    user = "auth0|fritz/1"
    done("message", "add x", "--session", "s", "--user", user)
    file = tmp_path / "fritz.jsonl"

    lines = done("export", user)
    done("export", user, "--output", str(file))
    erased = json.loads(done("erase", user, "--yes", "--json"))

    kinds = {item["type"] for item in objects(lines)}
    assert kinds >= {"session", "turn", "message", "tool_call", "row", "memory"}
    assert objects(file.read_text()) == objects(lines)
    assert (erased["sessions"], erased["project"]["tasks"], erased["done"]) == (1, 1, True)
    assert done("export", user) == ""


def test_an_escalated_session_is_resolved(done: Callable[..., str], stack: LocalStack) -> None:
    made = done("sessions", "create", "help", "--agent", "support", "--user", "gina").strip()
    with Parley(stack.url, stack.token("gina")) as gina:
        gina.change_session(made, status="escalated")

    listed = done("escalations", "list")
    done("escalations", "show", made)
    done("escalations", "resolve", made)

    assert listed.startswith(f"{made}\tgina\tsupport\t")
    assert done("escalations", "list") == ""


def test_the_figures_are_a_name_and_a_value_a_line(done: Callable[..., str]) -> None:
    figures = dict(line.split("\t") for line in done("stats").splitlines())

    assert int(figures["database.bytes"]) > 0
    assert "sessions.active" in figures


def test_who_may_not_administer_is_told_so(
    parley: Run, environ: dict[str, str], stack: LocalStack
) -> None:
    environ["PARLEY_TOKEN"] = stack.token("anna")

    result = parley("stats")

    assert (result.status, result.out) == (1, "")
    assert "parley:admin" in result.err


def test_an_empty_database_is_migrated_and_one_that_is_stays_so(
    parley: Run, postgres: EmbeddedPostgres
) -> None:
    postgres.create_database("empty")

    fresh = parley("migrate", "--database-url", postgres.url("empty"))
    again = parley("migrate")

    assert fresh.status == 0, fresh.err
    assert again == fresh


@pytest.mark.parametrize(
    "url", ["nonsense", "postgresql://nobody@127.0.0.1:1/x", "sqlite:///x", ""]
)
def test_a_database_that_cannot_be_migrated_is_a_sentence(
    parley: Run, tmp_path: Path, url: str
) -> None:
    result = parley("migrate", "--database-url", url, "--data-dir", str(tmp_path))

    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("parley: ")


def test_a_conversation_is_piped_as_plain_text(done: Callable[..., str]) -> None:
    said = done("chat", "--session", "s", "--user", "hugo", stdin="add x\nwhat do I have\n")

    assert said == "[offline model] Added “x”.\n[offline model] You have:\n- x\n"


def test_messages_in_the_background_are_answered_in_their_order(
    done: Callable[..., str],
) -> None:
    me = ("--user", "karl")
    said = ("--session", "s", *me)
    turns = [
        done("message", f"add {what}", *said, "--background", "--enqueue").strip()
        for what in ("one", "two", "three")
    ]

    replies = [done("turns", "follow", "s", turn, *me) for turn in turns]

    assert replies == [f"[offline model] Added “{what}”.\n" for what in ("one", "two", "three")]
    tasks = done("tasks", "list", *me, "--json").splitlines()
    assert [json.loads(task)["title"] for task in tasks] == ["one", "two", "three"]


def test_a_turn_is_told_event_by_event(done: Callable[..., str]) -> None:
    me = ("--user", "lara")
    turn = done("message", "add x", "--session", "s", *me, "--background").strip()

    events = [
        json.loads(line) for line in done("turns", "follow", "s", turn, *me, "--json").splitlines()
    ]
    rest = done("turns", "follow", "s", turn, *me, "--json", "--after", "2").splitlines()

    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert [events[0]["type"], events[-1]["type"]] == ["turn.started", "turn.completed"]
    assert {event["turn_id"] for event in events} == {turn}
    assert [json.loads(line) for line in rest] == events[2:]


def test_a_stream_is_the_transcript(stack: LocalStack) -> None:
    with Parley(stack.url, stack.token("mona")) as mona:
        events = list(mona.stream_first_message("add x", session_name="s"))
        begun = events[0]
        assert isinstance(begun, TurnStarted)
        again = list(mona.follow_turn(begun.session_id, begun.turn_id))
        turn = mona.read_turn(begun.session_id, begun.turn_id)

    assert turn.reply is not None
    written = "".join(event.text for event in events if isinstance(event, MessageDelta))
    (whole,) = (event for event in events if isinstance(event, MessageCompleted))
    assert written == whole.text == turn.reply.content
    assert whole.message_id == turn.reply.id
    assert again == events


async def test_the_async_client_talks_to_the_same_api(stack: LocalStack) -> None:
    async with AsyncParley(stack.url, lambda: stack.token("ida")) as ida:
        answer = await ida.send_first_message("add x", session_name="s")
        again = await ida.send_message(answer.turn.session_id, "what do I have")
        names = [session.name async for session in ida.list_sessions()]
        said = [m.role async for m in ida.read_transcript(answer.turn.session_id, page_size=1)]
        await ida.delete_session(answer.turn.session_id)

    assert again.reply is not None
    assert "x" in again.reply.content
    assert names == ["s"]
    assert said == ["assistant", "user"] * 2


def test_the_same_key_is_the_same_turn(stack: LocalStack) -> None:
    with Parley(stack.url, stack.token("jan")) as jan:
        one = jan.send_first_message("add x", idempotency_key="k-1")
        two = jan.send_first_message("add x", idempotency_key="k-1")
        task = create_task(jan, "y", idempotency_key="k-2")
        same = create_task(jan, "y", idempotency_key="k-2")

        assert one == two
        assert task.id == same.id
        assert [task.title for task in list_tasks(jan)] == ["x", "y"]
