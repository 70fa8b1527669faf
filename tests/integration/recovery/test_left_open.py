"""What `make dev` rings for at its start: the sessions whose turns an earlier one left open."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import psycopg

from parley.repository.turns import RunningTurn, TurnRepository
from parley_local.open_turns import open_sessions
from parley_testing.handlers import Api
from parley_testing.talk import begin, queue, request, say


def test_open_turns_are_found_and_when_a_worker_can_claim_them(
    api: Api,
    turns: TurnRepository,
    left: Callable[..., RunningTurn],
    sql: psycopg.Connection,
    database_url: str,
) -> None:
    say(turns, request("alice", api.new_session()))
    expired = left().session_id
    waiting, held, released = (UUID(api.new_session()) for _ in range(3))
    queue(turns, request("alice", str(waiting)))
    begin(turns, request("alice", str(held)))
    turn = begin(turns, request("alice", str(released)))
    sql.execute("UPDATE turns SET lease_expires_at = '-infinity' WHERE id = %s", (turn.id,))

    found = {session.id: session.seconds for session in open_sessions(database_url)}

    assert found.keys() == {expired, waiting, held, released}
    assert [found[at_once] for at_once in (expired, waiting, released)] == [0, 0, 0]
    (lease,) = sql.execute(
        "SELECT extract(epoch FROM lease_expires_at - now()) FROM turns WHERE session_id = %s",
        (held,),
    ).fetchone() or (None,)
    assert lease is not None
    assert float(lease) <= found[held] <= 60
