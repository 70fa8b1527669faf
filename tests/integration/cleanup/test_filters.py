"""A cleanup may be of some sessions only, or of another age; its cursors are its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from parley.cleanup.report import Counted
from parley.errors import InvalidField
from parley.ids import conversation_key, new_id
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore, TurnMemory
from parley.repository.expired_sessions import Scope
from parley.repository.paging import encode
from parley_testing.stores.aged import Aged
from parley_testing.stores.turn_keys import numbered

Clean = Callable[..., Any]


class TestOnSqlite:
    """What Postgres alone decides."""

    @pytest.fixture
    def store(self, sqlite_store: SqliteStore) -> AgentSessionStore:
        return sqlite_store

    @pytest.mark.parametrize(
        ("scope", "gone"),
        [
            (Scope(platform="cli"), {"100%_off", "Session-1"}),
            (Scope(platform="CLI"), set()),
            (Scope(name_prefix="Session-"), {"Session-1"}),
            (Scope(name_prefix="100%_"), {"100%_off"}),
            (Scope(name_prefix="%"), set()),
            (Scope(name_prefix="_"), {"_hidden"}),
            (Scope(name_prefix="\\"), {"\\slash"}),
            (Scope(user_id="bob"), {"1000 off", "_hidden"}),
            (Scope(user_id="bo%"), set()),
            (Scope(user_id="bob", platform="web", name_prefix="1000"), {"1000 off"}),
        ],
    )
    def test_only_such_sessions_are_come_to(
        self, aged: Aged, clean: Clean, scope: Scope, gone: set[str]
    ) -> None:
        for name, user, platform in [
            ("100%_off", "alice", "cli"),
            ("1000 off", "bob", "web"),
            ("Session-1", "alice", "cli"),
            ("session-2", "alice", "web"),
            ("_hidden", "bob", "api"),
            ("\\slash", "alice", "web"),
        ]:
            aged.session(days=31, turns=0, status="ended", name=name, user=user, platform=platform)
        aged.session(days=31, turns=0, status="ended", name=None, platform="web")
        would = clean(scope, dry_run=True)
        before = names(aged)

        report = clean(scope)

        assert before - names(aged) == gone
        assert {listing.name for listing in would.sessions} == gone
        assert report.kinds == would.kinds
        assert report.kinds["closed_sessions"].found == len(gone)

    @pytest.mark.parametrize(("seconds", "found"), [(0, 3), (3600, 2), (8 * 86_400, 1)])
    def test_another_age_is_that_of_all_kinds(
        self, aged: Aged, clean: Clean, seconds: int, found: int
    ) -> None:
        for days in (0.01, 1, 9):
            aged.session(days=days, turns=1)
            aged.session(days=days, turns=0)
            aged.session(days=days, status="ended")

        kinds = clean(older_than_seconds=seconds).kinds

        counts = [kinds[kind].found for kind in ("closed_sessions", "empty_sessions")]
        assert counts == [found] * 2

    @pytest.mark.parametrize(
        "cursor",
        [
            "nonsense",
            encode(["empty_sessions", "nonsense"]),
            encode(["empty_sessions", encode(["2026-01-01T00:00:00Z"])]),
            encode(["closed_sessions", encode(["9999-01-01T00:00:00Z", str(new_id())])]),
            encode(["closed_sessions"]),
        ],
    )
    def test_a_cursor_that_none_gave_is_refused(
        self, aged: Aged, clean: Clean, cursor: str
    ) -> None:
        aged.session(days=31, status="ended")
        before = aged.counts()

        with pytest.raises(InvalidField) as refused:
            clean(cursor=cursor)

        assert refused.value.field == "cursor"
        assert aged.counts() == before

    @pytest.mark.parametrize("kind", ["memory", "keys", "audit_records", "orphaned_memory"])
    def test_a_cursor_of_the_whole_is_none_of_a_part(self, clean: Clean, kind: str) -> None:
        with pytest.raises(InvalidField):
            clean(Scope(user_id="alice"), cursor=encode([kind, None]))


@pytest.mark.parametrize(
    "scope", [Scope(user_id="alice"), Scope(platform="api"), Scope(name_prefix="n")]
)
def test_neither_keys_nor_the_sweep_belong_to_some_sessions(
    aged: Aged, clean: Clean, scope: Scope
) -> None:
    gone = conversation_key("alice", new_id())
    aged.store.finish(gone, numbered(1), 1, TurnMemory([{"role": "user", "content": "nobody's"}]))
    aged.sql.execute(
        "INSERT INTO idempotency_tombstones VALUES ('alice', 'turn', 'key', '', '-infinity')"
    )
    before = aged.rows(), aged.memory()

    report = clean(scope)

    assert set(report.kinds) == {"closed_sessions", "empty_sessions"}
    assert set(report.kinds.values()) == {Counted()}
    assert (aged.rows(), aged.memory()) == before


def names(aged: Aged) -> set[str]:
    return {row[0] for row in aged.sql.execute("SELECT name FROM sessions").fetchall()}


class TestOnDynamoDb:
    """SQLite can go on anywhere; DynamoDB takes keys only."""

    @pytest.fixture
    def store(self, dynamodb_store: DynamoDbStore) -> AgentSessionStore:
        return dynamodb_store

    @pytest.mark.parametrize("place", ['["a"]', "nonsense"])
    def test_a_place_in_the_sweep_that_none_gave_is_refused(
        self, aged: Aged, clean: Clean, place: str
    ) -> None:
        there = aged.session(days=0)

        with pytest.raises(InvalidField) as refused:
            clean(cursor=encode(["orphaned_memory", place]))

        assert refused.value.field == "cursor"
        assert aged.remembered() == {there}
