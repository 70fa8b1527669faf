"""Paging through sessions neither repeats nor skips one, whatever happens between two pages."""

from __future__ import annotations

from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parley.repository.sessions import SessionRepository
from parley.repository.turns import Ending, RunningTurn, TurnRepository, Usage
from parley_testing.api.handlers import Api
from parley_testing.api.page_by_page import read_pages
from parley_testing.stores.talk import begin, request, say

HAPPENINGS = ["make", "message", "begin", "complete", "fail", "delete", "rename", "end", "clear"]
Happening = tuple[str, int]

_happenings = st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 9)), max_size=5)


class World:
    """A user's sessions, and what can happen to them."""

    def __init__(
        self, api: Api, sql: psycopg.Connection, sessions: SessionRepository, turns: TurnRepository
    ) -> None:
        self.user = f"user-{uuid4()}"
        self.deleted: set[str] = set()
        self._api = api
        self._sql = sql
        self._sessions = sessions
        self._turns = turns
        self._open: dict[str, RunningTurn] = {}
        # Made in one moment, so that their order is decided by their ids.
        sql.execute(
            "INSERT INTO sessions (id, user_id, agent, platform)"
            " SELECT gen_random_uuid(), %s, 'todo', 'api' FROM generate_series(1, 4)",
            [self.user],
        )
        for _ in range(3):
            api.new_session(user=self.user)

    def in_order(self) -> list[str]:
        """Return the ids, newest activity first."""
        rows = self._sql.execute(
            "SELECT id::text FROM sessions WHERE user_id = %s"
            " ORDER BY last_activity_at DESC, id DESC",
            [self.user],
        )
        return [row[0] for row in rows]

    def let(self, happening: Happening) -> None:
        """Let something happen to one of the sessions, if it can."""
        what, which = happening
        there = sorted(self.in_order())
        if what == "make":
            self._api.new_session(user=self.user)
        elif there:
            getattr(self, what)(there[which % len(there)])

    def message(self, session_id: str) -> None:
        if session_id not in self._open:
            say(self._turns, request(self.user, session_id))

    def begin(self, session_id: str) -> None:
        if session_id not in self._open:
            self._open[session_id] = begin(self._turns, request(self.user, session_id))

    def complete(self, session_id: str) -> None:
        if turn := self._open.pop(session_id, None):
            self._turns.complete(turn, "at last", Usage(), None)

    def fail(self, session_id: str) -> None:
        if turn := self._open.pop(session_id, None):
            ending = Ending("failed", "model_failed", "No.", remembered=False)
            self._turns.stop(turn, ending, Usage(), None)

    def delete(self, session_id: str) -> None:
        id_ = UUID(session_id)
        self._sessions.delete(self.user, id_)
        self._open.pop(session_id, None)
        self.deleted.add(session_id)

    def rename(self, session_id: str) -> None:
        self._sessions.change(self.user, UUID(session_id), {"name": str(uuid4())})

    def end(self, session_id: str) -> None:
        if session_id not in self._open:
            self._sessions.change(self.user, UUID(session_id), {"status": "ended"})
            self._sessions.change(self.user, UUID(session_id), {"status": "active"})

    def clear(self, session_id: str) -> None:
        self._sessions.forget(self.user, UUID(session_id))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    before=_happenings,
    between=st.lists(_happenings, max_size=8),
    limit=st.integers(1, 4),
)
def test_each_session_of_the_first_page_s_moment_comes_once_in_that_order(
    api: Api,
    sql: psycopg.Connection,
    sessions: SessionRepository,
    turns: TurnRepository,
    before: list[Happening],
    between: list[list[Happening]],
    limit: int,
) -> None:
    world = World(api, sql, sessions, turns)
    for happening in before:
        world.let(happening)
    at_first = world.in_order()
    world.deleted.clear()

    def meanwhile(page: int) -> None:
        for happening in between[page] if page < len(between) else []:
            world.let(happening)

    read = read_pages(api, "/sessions", {"limit": str(limit)}, between=meanwhile, user=world.user)

    ids = [session["id"] for session in read]
    assert len(set(ids)) == len(ids)
    assert ids == [one for one in at_first if one in ids]
    assert set(at_first) - world.deleted <= set(ids)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_every_session_comes_though_each_is_messaged_after_each_page(
    api: Api, turns: TurnRepository, limit: int
) -> None:
    made = [api.new_session() for _ in range(7)]

    def message_all(page: int) -> None:
        for session_id in made:
            say(turns, request("alice", session_id))

    read = read_pages(api, "/sessions", {"limit": str(limit)}, between=message_all)

    assert [session["id"] for session in read] == made[::-1]


def test_a_turn_that_ended_counts_as_activity_on_later_pages_too(
    api: Api, turns: TurnRepository
) -> None:
    first, second, third = (api.new_session() for _ in range(3))
    slow = begin(turns, request("alice", first))
    for session_id in (second, third):
        say(turns, request("alice", session_id))
    turns.complete(slow, "at last", Usage(), None)  # begun before the others, ended after them

    def message_all(page: int) -> None:
        for session_id in (first, second, third):
            say(turns, request("alice", session_id))

    read = read_pages(api, "/sessions", {"limit": "1"}, between=message_all)

    assert [session["id"] for session in read] == [first, third, second]


def test_a_session_is_shown_as_it_is_now_where_it_was(api: Api, turns: TurnRepository) -> None:
    made = [api.new_session() for _ in range(3)]

    def message_the_last(page: int) -> None:
        say(turns, request("alice", made[0]))

    read = read_pages(api, "/sessions", {"limit": "1"}, between=message_the_last)

    alone = api("GET", f"/sessions/{made[0]}").json
    assert read[-1] | {"usage": alone["usage"]} == alone
    assert read[-1]["last_activity_at"] > read[0]["last_activity_at"]
