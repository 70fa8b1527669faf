"""Many processes at once: on one session they take turns, on many they do not meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from parley.ids import conversation_key
from parley_testing.run.at_length import times
from parley_testing.scenarios.fork_server import ForkServer
from parley_testing.scenarios.parts import Place
from parley_testing.scenarios.setup import Setup

PROCESSES = 4
SENDS = times(enough=20, full=50)
SESSIONS = times(enough=60, full=200)


def at_once(
    server: ForkServer, place: Place, folder: Path, sends: Sequence[dict[str, str]]
) -> list[dict[str, Any]]:
    """Send from all processes, each its share, and give what each found out."""
    children = [
        server.fork(place, "counting", folder / "asked", sends=sends[n::PROCESSES], at_once=13)
        for n in range(PROCESSES)
    ]
    assert [child.wait() for child in children] == [{"exited": 0}] * PROCESSES
    found = [child.result() for child in children]
    assert not [result for result in found if "error" in result]
    return found


async def test_on_one_session_messages_from_all_sides_are_answered_one_after_another(
    new_setup: Callable[[str], Setup],
    server: ForkServer,
    place: Place,
    sql: psycopg.Connection,
    tmp_path: Path,
) -> None:
    setup = new_setup("counting")
    played = setup.start_run()
    session_id = str(played.session_id)
    keys = [f"key-{n}" for n in range(SENDS)]

    found = at_once(
        server,
        place,
        tmp_path,
        [{"user": played.user, "session_id": session_id, "key": key} for key in keys],
    )

    replies = {key: reply for result in found for key, reply in result["replies"].items()}
    assert sorted(replies) == sorted(keys)
    assert {reply for _, reply in replies.values()} == {"Counted."}
    rows = sql.execute(
        "SELECT t.id::text, t.idempotency_key, t.number, t.status, t.attempt,"
        " c.output->>'value', (SELECT count(*) FROM messages m WHERE m.turn_id = t.id)"
        " FROM turns t JOIN tool_calls c ON c.turn_id = t.id ORDER BY t.number"
    ).fetchall()
    # The n-th turn counted n: it saw the effects of all before it, and of none after.
    assert [row[2:] for row in rows] == [
        (n, "completed", 1, str(n), 2) for n in range(1, SENDS + 1)
    ]
    assert {key: turn for turn, key, *_ in rows} == {
        key: turn for key, (turn, _) in replies.items()
    }
    titles = sql.execute("SELECT title FROM tasks").fetchall()
    assert sorted(int(title) for (title,) in titles) == list(range(1, SENDS + 1))
    stored = setup.store.read_newest(conversation_key(played.user, played.session_id), None)
    assert [turn.number for turn in stored] == list(range(SENDS, 0, -1))
    refused_by = [turn for result in found for turn in result["refused_by"]]
    assert refused_by
    assert {turn for turn, *_ in rows} >= set(refused_by)
    print(f"{SENDS} messages, {len(refused_by)} refusals")


async def test_sessions_do_not_interfere(
    new_setup: Callable[[str], Setup],
    server: ForkServer,
    place: Place,
    sql: psycopg.Connection,
    tmp_path: Path,
) -> None:
    setup = new_setup("counting")
    plays = [setup.start_run() for _ in range(SESSIONS)]
    sends = [{"user": played.user, "session_id": str(played.session_id)} for played in plays]

    first = at_once(server, place, tmp_path, [send | {"key": "1"} for send in sends])
    # One further, so that every session's second turn comes from another process.
    second = at_once(
        server, place, tmp_path, [send | {"key": "2"} for send in [*sends[1:], sends[0]]]
    )

    assert [result["refused_by"] for result in first + second] == [[]] * 2 * PROCESSES
    rows = sql.execute(
        "SELECT t.user_id, t.session_id, t.number, t.status, t.attempt, c.output->>'value'"
        " FROM turns t JOIN tool_calls c ON c.turn_id = t.id"
    ).fetchall()
    assert sorted(rows, key=str) == sorted(
        (
            (played.user, UUID(str(played.session_id)), n, "completed", 1, str(n))
            for played in plays
            for n in (1, 2)
        ),
        key=str,
    )
    for played in plays:
        newest, oldest = setup.store.read_newest(
            conversation_key(played.user, played.session_id), None
        )
        assert (newest.number, oldest.number) == (2, 1)
