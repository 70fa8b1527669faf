"""What statements take on a large database, beside the same on a small one.

    make bench-scale SESSIONS=1000000 MESSAGES=10000000

Three databases of one server are filled in bulk, alike but for their size, of which the second has
a tenth of the third: each user has fifty sessions, and each session as many turns as come to the
messages. The same statements are run on all in turns, and docs/scale.md is written; each figure is
the median of all rounds, in milliseconds on a socket. Beside it stands how many pages of 8 KB the
statements look at, by EXPLAIN (ANALYZE, BUFFERS): that is the figure to trust, which no busy
machine changes. A million sessions with ten million messages take about 8 GB (in TMPDIR), a tenth
of that besides, and some minutes to make.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from bench.migrated import DATABASE, migrated
from psycopg.sql import SQL, Identifier
from sqlalchemy import Engine, event

from parley.ids import new_id
from parley.repository.all_turns import TurnFilter, list_all_turns
from parley.repository.database import Database
from parley.repository.expired_sessions import EVERY, Ages, find_expired
from parley.repository.session_list import SessionFilter, list_sessions
from parley.repository.sessions import SessionRepository
from parley.repository.statistics import read_activity, read_standing
from parley.repository.transcript import Transcript
from parley.repository.turn_series import read_series
from parley.repository.turns import NewSession, TurnRepository, TurnRequest, Usage
from parley.repository.waiting import WaitingSessions
from parley_testing.postgres.databases import connect

SMALL = 1_000
DOCS = Path(__file__).parents[1] / "docs"
_COUNTED = 9
"""Of how many requests of each kind the pages are counted."""
_WRITES = re.compile(r"^\s*EXPLAIN|\b(INSERT|UPDATE|DELETE)\b")
_AGES = Ages(closed_sessions=30 * 86_400, empty_sessions=86_400)

# Activity over sixty days; ids in the order of time, as the code makes them.
_SESSIONS = """
INSERT INTO sessions (id, user_id, agent, platform, status, next_number, last_activity_at,
                      created_at)
SELECT uuidv7(at - now()), 'user-' || i %% %(users)s, 'todo', 'api',
       CASE WHEN i %% 100 < 10 THEN 'ended' WHEN i %% 1000 = 11 THEN 'escalated' ELSE 'active' END,
       CASE WHEN i %% 50 = 7 THEN 1 ELSE %(turns)s + 1 END, at, at
FROM generate_series(1, %(sessions)s) i,
     LATERAL (SELECT now() - (%(sessions)s - i) * interval '60 days' / %(sessions)s AS at) moment
"""
_TURNS = """
INSERT INTO turns (id, session_id, user_id, number, status, attempt, fingerprint, agent,
                   remembered, model_calls, created_at, started_at, ended_at)
SELECT uuidv7(s.last_activity_at - now()), s.id, s.user_id, n,
       CASE WHEN n = 1 AND random() < 0.02 THEN 'failed' ELSE 'completed' END, 1, '', s.agent,
       true, 1, s.last_activity_at, s.last_activity_at, s.last_activity_at + interval '2 seconds'
FROM sessions s, generate_series(1, %(turns)s) n WHERE s.next_number > 1 ORDER BY s.id
"""
_MESSAGES = """
INSERT INTO messages (id, turn_id, role, content)
SELECT uuidv7(), t.id, r, repeat('what was said ', 10)
FROM turns t, unnest(ARRAY['user', 'assistant']) r
"""


class Side:
    """One of the databases."""

    def __init__(self, url: str, sessions: list[tuple[str, UUID]]) -> None:
        self.database = Database(lambda: url, statement_timeout=60)
        self._sessions = sessions
        self._turns = TurnRepository(self.database, window=100)
        self._found = SessionRepository(self.database)
        self._transcript = Transcript(self.database)
        self.times: dict[str, list[float]] = defaultdict(list)
        self.pages: dict[str, list[int]] = defaultdict(list)
        self.counts = False

    def _timed(self, name: str, work: Callable[[], Any]) -> Any:
        if self.counts:
            with _counted() as counted:
                result = work()
            self.pages[name].append(sum(counted))
            return result
        begun = time.perf_counter()
        result = work()
        self.times[name].append((time.perf_counter() - begun) * 1000)
        return result

    def requests(self) -> None:
        """Do what users' requests and the worker do."""
        user, session_id = random.choice(self._sessions)
        timed, turns = self._timed, self._turns
        mine = SessionFilter()
        timed("get a session", lambda: self._found.get_with_usage(user, session_id))
        timed(
            "list a user's sessions",
            lambda: list_sessions(self.database, user, mine, limit=20, cursor=None),
        )
        timed(
            "read a transcript",
            lambda: self._transcript.messages(
                user, session_id, order="desc", limit=20, cursor=None
            ),
        )
        begun = timed("begin", lambda: turns.begin(_request(user, session_id)))
        timed("complete", lambda: turns.complete(begun.turn, "hi", Usage(), None))
        opening = _request(user, new_id(), NewSession("todo", None, "api", {}))
        begun = timed("begin in a new session", lambda: turns.begin(opening))
        turns.complete(begun.turn, "hi", Usage(), None)
        turns.begin(_request(user, session_id), enqueue=True, queue=True)
        claim = timed("claim", lambda: turns.claim_head(session_id))
        turns.complete(claim.turn, "hi", Usage(), None)

    def administration(self) -> None:
        """Do what cleanup and administrators do."""
        timed, database = self._timed, self.database
        for kind in ("closed_sessions", "empty_sessions"):
            timed(
                f"find {kind.replace('_', ' ')}",
                lambda kind=kind: find_expired(  # type: ignore[misc]
                    database, kind, _AGES, EVERY, after=None, limit=100
                ),
            )
        timed("find what waits", lambda: WaitingSessions(database).find(20))
        for name, matching in (
            ("everybody's sessions", SessionFilter()),
            ("escalated sessions", SessionFilter(status="escalated")),
            ("sessions of an agent", SessionFilter(agent="nobody's")),
        ):
            timed(
                f"list {name}",
                lambda matching=matching: list_sessions(  # type: ignore[misc]
                    database, None, matching, limit=20, cursor=None
                ),
            )
        for name, those in (("", TurnFilter()), ("failed ", TurnFilter(status="failed"))):
            timed(
                f"list everybody's {name}turns",
                lambda those=those: list_all_turns(  # type: ignore[misc]
                    database, those, limit=20, cursor=None
                ),
            )
        timed("statistics: standing", lambda: read_standing(database))
        timed("statistics: activity", lambda: read_activity(database))
        timed("statistics: 30 days", lambda: read_series(database, "day", 30))


def _request(user: str, session_id: UUID, opens: NewSession | None = None) -> TurnRequest:
    return TurnRequest(user, session_id, new_id(), new_id(), "hello", None, b"", opens=opens)


@contextmanager
def _counted() -> Iterator[list[int]]:
    """Give the pages that each statement looks at; of one that writes nothing is counted.

    To be counted it is run once more than it is asked for.
    """
    pages: list[int] = []

    def look(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if _WRITES.search(statement):
            return
        with connection.connection.driver_connection.cursor() as own:
            own.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
            (((plan,),),) = own.fetchall()
        pages.append(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield pages
    finally:
        event.remove(Engine, "before_cursor_execute", look)


def _fill(sql: psycopg.Connection, sessions: int, messages: int) -> list[tuple[str, UUID]]:
    about = {
        "sessions": sessions,
        "users": max(1, sessions // 50),
        "turns": max(1, messages // sessions // 2),
    }
    # What is filled in fits by itself: neither foreign keys nor triggers need to look at it.
    sql.execute("SET session_replication_role = replica")
    for statement in (_SESSIONS, _TURNS, _MESSAGES):
        sql.execute(statement, about)
    sql.execute("RESET session_replication_role")
    sql.execute("VACUUM ANALYZE")
    return sql.execute(
        "SELECT user_id, id FROM sessions WHERE status = 'active' AND next_number > 1"
        " ORDER BY random() LIMIT 500"
    ).fetchall()


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder to write to")
    asked = parser.parse_args()
    each = asked.messages // asked.sessions
    sizes = (SMALL, asked.sessions // 10, asked.sessions)
    sides, filled = [], []
    with migrated() as made:
        with connect(made.server.url("postgres")) as admin:
            for size in sizes[1:]:
                admin.execute(
                    SQL("CREATE DATABASE {} TEMPLATE {}").format(
                        Identifier(_name(size)), Identifier(DATABASE)
                    )
                )
        for sessions in sizes:
            begun = time.monotonic()
            with connect(made.server.url(_name(sessions))) as sql:
                found = _fill(sql, sessions, sessions * each)
                ((size,),) = sql.execute(
                    "SELECT pg_size_pretty(pg_database_size(current_database()))"
                ).fetchall()
            took = time.monotonic() - begun
            filled.append(
                f"{sessions:,} sessions with {sessions * each:,} messages ({size}, {took:.0f} s)"
            )
            print(filled[-1], flush=True)
            sides.append(Side(made.server.runtime_url(_name(sessions)), found))
        for number in range(asked.rounds + 2):
            for side in sides if number % 2 else reversed(sides):
                side.requests()
                if number % 4 == 0:
                    side.administration()
        for side in sides:
            side.counts = True
            for _ in range(_COUNTED):
                side.requests()
            side.administration()
        page = _page(sides, sizes, filled)
        (asked.docs / "scale.md").write_text(page, encoding="utf-8")
        print(page)
        for side in sides:
            side.database.close()


def _name(sessions: int) -> str:
    return DATABASE if sessions == SMALL else f"of_{sessions}"


_HEAD = """\
# Large databases

This page is written by `make bench-scale`; it was measured on {day}, load {load:.1f}.

Three databases of one server, alike but for their size: {filled}. The same statements are run on
all of them in turns. Milliseconds are medians on a socket. Pages are those of 8 KB that a statement
looks at, by EXPLAIN (ANALYZE, BUFFERS): no busy machine changes them. Of statements that write
nothing is counted; that none of them reads a table whole is tested
(`tests/integration/stores/test_plans.py`).

What grows with a database grows from one tenth of it to all of it. Beside a thousand sessions more
changes: there Postgres reads a small table instead of its index, a page of a list or of what
cleanup finds is not full, and the sample that statistics look at (the newest 1,000 turns of each
day, said so in the answer by `estimated`) is not reached. So the last column is the one that tells.

Where pages or milliseconds are more than 1.5 times as many, the plans say why:

- **Closed sessions** are found by an index, at most 100 a page, and what goes with each is counted:
  its turns by one search in an index, their messages by one search that takes all of them. Those
  searches come by more pages of an index that is ten times as large (nearly all of the difference
  is that of messages; how deep the index is was not looked at). No table is read whole.
- **Empty sessions** and **escalated sessions** take a page of their own for each that is found: 100
  and 20 of them where the database has so many, which a thousand sessions do not.
- **Statistics: standing** counts up to 10,000 sessions, and as many closed ones, in indexes alone.
- **Statistics: activity** also counts the last day's turns up to 10,000 by status, which is read of
  the rows, and looks at 1,000 of them: a thousand sessions have 83 a day here.
- **Statistics: 30 days** looks at 1,000 turns of each day, 30,000 in all, of which the median and
  the 95th percentile are sought; a thousand sessions have 2,500. A smaller sample would bring it
  nearer, for percentiles that say less; figures kept hour by hour would be a row that each turn of
  that hour updates.

"""


def _page(sides: Sequence[Side], sizes: Sequence[int], filled: Sequence[str]) -> str:
    labels = [f"{size:,}" for size in sizes]
    head = ["", *(f"ms, {each}" for each in labels), "ratio"]
    head += [*(f"pages, {each}" for each in labels), "of the first", "of the tenth"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name in sides[0].times:
        # The first are the connections' and the caches' start.
        times = [statistics.median(side.times[name][1:]) for side in sides]
        pages = [statistics.median(side.pages[name]) for side in sides]
        line = [name, *(f"{each:.2f}" for each in times), f"{times[-1] / times[0]:.2f}"]
        if pages[0]:
            line += [*(f"{each:.0f}" for each in pages)]
            line += [f"{pages[-1] / pages[0]:.2f}", f"{pages[-1] / pages[1]:.2f}"]
        else:
            line += [""] * 5
        lines.append(line)
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    day = f"{datetime.now(UTC):%-d %B %Y}"
    return _HEAD.format(day=day, load=os.getloadavg()[2], filled=", ".join(filled)) + table


if __name__ == "__main__":
    main()
