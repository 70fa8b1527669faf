"""The sessions for which `make dev` wakes a worker at its start: an earlier one left turns open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID

import psycopg

from parley.repository.turns import RunningTurn, TurnRepository
from parley_local.local_queue import LocalQueue
from parley_local.open_turns import open_sessions, wake_for_what_was_left
from parley_local.queue_state import QueueState
from parley_local.template import Queue
from parley_testing.api.handlers import Api
from parley_testing.postgres.databases import owner_url
from parley_testing.stores.talk import begin, queue, request, say


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

    found = {session.id: session.seconds for session in open_sessions(owner_url(database_url))}

    assert found.keys() == {expired, waiting, held, released}
    assert [found[at_once] for at_once in (expired, waiting, released)] == [0, 0, 0]
    (lease,) = sql.execute(
        "SELECT extract(epoch FROM lease_expires_at - now()) FROM turns WHERE session_id = %s",
        (held,),
    ).fetchone() or (None,)
    assert lease is not None
    assert float(lease) <= found[held] <= 60


def test_one_user_with_many_open_sessions_does_not_make_another_wait_after_a_restart(
    left: Callable[..., RunningTurn], database_url: str
) -> None:
    for _ in range(6):
        left(user="alice")
    of_bob = left(user="bob").session_id
    state = QueueState(Queue("wake-ups", "Worker"), bury=lambda _: None)

    asyncio.run(wake_for_what_was_left(LocalQueue(state, ""), owner_url(database_url)))

    taken = [message.body for _ in range(7) if (message := state.take()) is not None]
    assert len(taken) == 7
    assert str(of_bob) in taken[:2], "the others are alice's"
