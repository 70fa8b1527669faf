"""What row-level security costs: the same statements with the policies and without.

    make bench-row-security

Two copies of one database, filled alike, are asked in turns by the same login; in one of them row
security is switched off. Each figure is the median over all rounds, in milliseconds on a socket,
and the ratio that of the medians. What a round writes is written in both.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from uuid import UUID

import psycopg
from bench.migrated import DATABASE, migrated
from psycopg.sql import SQL, Identifier

from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.row_security import GUARDS
from parley.repository.scope import OfUser
from parley.repository.session_list import SessionFilter, list_sessions
from parley.repository.tool_calls import ToolCall, ToolCallRepository, record_in
from parley.repository.transcript import Transcript
from parley.repository.turns import NewSession, TurnRepository, TurnRequest, Usage
from parley_testing.postgres.databases import connect
from tasks_desk.task_list import TaskFilter, list_tasks

_FILL = """
INSERT INTO sessions (id, user_id, agent, platform, next_number)
SELECT gen_random_uuid(), 'user-' || i % 200, 'todo', 'api', 51 FROM generate_series(1, 2000) i;
INSERT INTO turns (id, session_id, user_id, number, status, attempt, fingerprint, agent, remembered)
SELECT gen_random_uuid(), s.id, s.user_id, n, 'completed', 1, '', 'todo', true
FROM sessions s, generate_series(1, 50) n;
INSERT INTO messages (id, turn_id, role, content)
SELECT gen_random_uuid(), t.id, r, repeat('what was said ', 10)
FROM turns t, unnest(ARRAY['user', 'assistant']) r;
INSERT INTO tasks (id, user_id, title)
SELECT gen_random_uuid(), 'user-' || i % 200, 'task ' || i FROM generate_series(1, 20000) i;
ANALYZE
"""

# The copy whose row security is off.
_BARE = "bare"

Timed = Callable[[str, Callable[[], object]], object]


class Side:
    """One of the two databases."""

    def __init__(self, url: str) -> None:
        self.database = Database(lambda: url, statement_timeout=30)
        self.turns = TurnRepository(self.database, window=100)
        self.transcript = Transcript(self.database)
        self.tool_calls = ToolCallRepository(self.database)
        self.times: dict[str, list[float]] = defaultdict(list)

    def timed(self, name: str, work: Callable[[], object]) -> object:
        """Do it, and note how long it took."""
        begun = time.perf_counter()
        result = work()
        self.times[name].append((time.perf_counter() - begun) * 1000)
        return result

    def round(self, user: str, session_id: UUID) -> None:
        """Do what a turn with a tool does, open a session, and list what a user has."""
        request = TurnRequest(user, session_id, new_id(), new_id(), "hello", None, b"")
        turn = self.timed("begin", lambda: self.turns.begin(request).turn)
        call = ToolCall(str(new_id()), "add_task", "{}", "done", effect=True)

        def effect() -> None:
            with self.database.transaction(OfUser(user)) as connection:
                record_in(connection, turn, call)  # type: ignore[arg-type]

        self.timed("record a tool call", effect)
        self.timed("read a turn's calls", lambda: self.tool_calls.of_turn(turn))  # type: ignore[arg-type]
        self.timed("complete", lambda: self.turns.complete(turn, "hi", Usage(), None))  # type: ignore[arg-type]
        opening = TurnRequest(
            user, new_id(), new_id(), new_id(), "hello", None, b"",
            opens=NewSession("todo", None, "api", {}),
        )  # fmt: skip
        self.timed("begin with a new session", lambda: self.turns.begin(opening))
        self.timed(
            "list 20 sessions",
            lambda: list_sessions(self.database, user, SessionFilter(), limit=20, cursor=None),
        )
        for limit in (20, 100):
            self.timed(
                f"list {limit} messages",
                lambda limit=limit: self.transcript.messages(  # type: ignore[misc]
                    user, session_id, order="desc", limit=limit, cursor=None
                ),
            )
        self.timed(
            "list 20 tasks",
            lambda: self.database.read(
                OfUser(user),
                lambda connection: list_tasks(connection, user, TaskFilter(), limit=20),
            ),
        )


def _off(sql: psycopg.Connection) -> None:
    for table in (*GUARDS, "tasks"):
        sql.execute(SQL("ALTER TABLE {} DISABLE ROW LEVEL SECURITY").format(Identifier(table)))


def main() -> None:
    """Measure, and print a line for each statement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    with ExitStack() as stack:
        made = stack.enter_context(migrated())
        server = made.server
        with connect(made.owner_url) as sql:
            sql.execute(_FILL)
            sessions = sql.execute("SELECT user_id, id FROM sessions ORDER BY id").fetchall()
        with connect(server.url("postgres")) as admin:
            admin.execute(
                SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    Identifier(_BARE), Identifier(DATABASE)
                )
            )
        with connect(server.url(_BARE)) as sql:
            _off(sql)
            sql.execute("ANALYZE")
        ratios: dict[str, list[float]] = defaultdict(list)
        medians: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for _ in range(asked.repeats):
            guarded, bare = (Side(server.runtime_url(name)) for name in (DATABASE, _BARE))
            for number in range(asked.rounds):
                user, session_id = random.choice(sessions)
                sides = [guarded, bare] if number % 2 else [bare, guarded]
                for side in sides:
                    side.round(user, session_id)
            for name, times in guarded.times.items():
                with_, without = statistics.median(times), statistics.median(bare.times[name])
                ratios[name].append(with_ / without)
                medians[name].append((with_, without))
            for side in (guarded, bare):
                side.database.close()
    print(f"{'':26}    with  without   ratio (of {asked.repeats} runs: lowest, median, highest)")
    for name, found in ratios.items():
        with_, without = (statistics.median(side) for side in zip(*medians[name], strict=True))
        low, middle, high = min(found), statistics.median(found), max(found)
        print(f"{name:26} {with_:7.2f} {without:8.2f}   {low:.2f} {middle:.2f} {high:.2f}")


if __name__ == "__main__":
    main()
