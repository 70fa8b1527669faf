"""A cleanup of many sessions: how fast, in how much memory, and what a turn beside it takes.

    make bench-cleanup STORE=sqlite SESSIONS=100000

Of every ten sessions the memory of four has expired, three were ended long ago and go whole, two
have no message and go, and one is in use and must stay. Each but the empty ones has two turns with
messages and memory. Another process sends a message every 100 ms, before and during the cleanup,
which is stopped by its deadline three times and goes on. In the end both stores are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import psutil
import psycopg
from bench.memory_in_bulk import Left, remember
from bench.migrated import migrated

from parley.cleanup.expired_memory import ExpiredMemory
from parley.cleanup.expired_sessions import ExpiredSessions
from parley.cleanup.report import Counted
from parley.cleanup.retention import CleanupRequest
from parley.composition import Composition
from parley.config import load_settings
from parley.ids import TurnKey, conversation_key
from parley.memory.expiry import TimeToLive
from parley.memory.store import TurnMemory
from parley_testing.api.handlers import Api
from parley_testing.postgres.databases import connect

MEMORY = TurnMemory(
    [
        {"role": "user", "content": "what do I have to do today? " * 4},
        {"type": "function_call", "call_id": "c", "name": "list_tasks", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "[]" * 40},
        {"role": "assistant", "content": "You have nothing to do today. " * 4},
    ],
    reply="You have nothing to do today.",
)
TURNS = 2

_SESSIONS = """
INSERT INTO sessions (id, user_id, agent, name, platform, status, next_number, memory_from,
                      last_activity_at, created_at)
SELECT gen_random_uuid(), 'user-' || i %% 1000, 'assistant', 'session ' || i, 'cli',
       CASE WHEN i %% 10 IN (4, 5, 6) THEN 'ended' ELSE 'active' END,
       CASE WHEN i %% 10 IN (7, 8) THEN 1 ELSE %(turns)s + 1 END, 1,
       now() - CASE WHEN i %% 10 = 9 THEN interval '1 hour' ELSE interval '40 days' END
             - i * interval '1 second', now() - interval '50 days'
FROM generate_series(1, %(sessions)s) i
"""
_TURNS = """
INSERT INTO turns (id, session_id, user_id, number, status, attempt, fingerprint, agent,
                   remembered, created_at, started_at, ended_at)
SELECT gen_random_uuid(), s.id, s.user_id, n, 'completed', 1, '', s.agent, true,
       s.last_activity_at, s.last_activity_at, s.last_activity_at
FROM sessions s, generate_series(1, %(turns)s) n WHERE s.next_number > 1
"""
_MESSAGES = """
INSERT INTO messages (id, turn_id, role, content)
SELECT gen_random_uuid(), t.id, r, repeat('what is said ', 10)
FROM turns t, (VALUES ('user'), ('assistant')) roles (r)
"""


def seed(sql: psycopg.Connection, parts: Composition, sessions: int) -> None:
    """Fill both stores."""
    sql.execute(_SESSIONS, {"sessions": sessions, "turns": TURNS})
    sql.execute(_TURNS, {"turns": TURNS})
    sql.execute(_MESSAGES)
    sql.execute("ANALYZE")
    rows = sql.execute(
        "SELECT t.user_id, t.session_id, t.number, t.id,"
        " s.status = 'active' AND s.last_activity_at < now() - interval '1 day' AS expired"
        " FROM turns t JOIN sessions s ON s.id = t.session_id"
    ).fetchall()
    life = TimeToLive()
    remember(
        parts,
        (
            Left(
                conversation_key(user, session),
                TurnKey(number, turn_id),
                1 if expired else life.of_finished(),
                MEMORY,
            )
            for user, session, number, turn_id, expired in rows
        ),
    )


@contextmanager
def deployment(store: str) -> Iterator[tuple[psycopg.Connection, Composition]]:
    """Start both stores, and give a way to each."""
    with ExitStack() as stack:
        made = stack.enter_context(migrated())
        os.environ |= {
            "AGENT_SESSION_STORE": store,
            "OFFLINE_MODEL": "true",
        }
        _moto(stack)
        if store == "sqlite":
            os.environ["AGENT_SESSION_DB_PATH"] = str(made.folder / "memory.db")
        else:
            _make_table()
        parts = Composition(load_settings("database", "memory"))
        stack.callback(parts.database.close)
        yield stack.enter_context(connect(made.owner_url)), parts


# moto sorts its whole table for each query and each page of a scan, and copies whole items where
# their keys are asked for; that would be all that is measured.
_MOTO = """
import bisect, threading, time
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table
from moto.server import ThreadedMotoServer
query, asked, scanned = Table.query, threading.local(), []
def of_partition(self, hash_key, *others, **named):
    asked.items = list(self.items.get(hash_key, {}).values())
    return query(self, hash_key, *others, **named)
def of_page(self, filters, limit, exclusive_start_key, a, b, c, projection_expression, **_):
    if exclusive_start_key is None:
        whole = [item for items in list(self.items.values()) for item in list(items.values())]
        scanned[:] = sorted(map(place, whole))
        first = 0
    else:
        key = {name: value["S"] for name, value in exclusive_start_key.items()}
        first = bisect.bisect_right(scanned, (key[self.hash_key_attr], key[self.range_key_attr]))
    page = [self.get_item(*map(value, at)) for at in scanned[first : first + limit]]
    page = [item for item in page if item is not None]
    more = page and len(scanned) > first + limit
    following = self._get_last_evaluated_key(page[-1], None) if more else None
    return [item.project(projection_expression) for item in page], len(page), following
def place(item):
    return item.hash_key.value, item.range_key.value
def value(text):
    return DynamoType({"S": text})
def asked_for(self):
    return getattr(asked, "items", [])
Table.query, Table.scan, Table.all_items = of_partition, of_page, asked_for
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
time.sleep(1e6)
"""


def _moto(stack: ExitStack) -> None:
    """Serve AWS from a process of its own, so that its memory is not ours; and make the queue."""
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-c", _MOTO],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    )
    stack.callback(process.kill)
    assert process.stdout is not None
    os.environ |= {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{int(process.stdout.readline())}",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    import boto3

    queue = boto3.client("sqs").create_queue(QueueName="wake-queue")
    os.environ["WAKE_QUEUE_URL"] = queue["QueueUrl"]


def _make_table() -> None:
    import boto3

    os.environ["AGENT_SESSION_TABLE"] = "memory"
    names = ("conversation", "part")
    boto3.client("dynamodb").create_table(
        TableName="memory",
        KeySchema=[
            {"AttributeName": name, "KeyType": kind}  # type: ignore[typeddict-item]
            for name, kind in zip(names, ("HASH", "RANGE"), strict=True)
        ],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
        BillingMode="PAY_PER_REQUEST",
    )


def talk() -> None:
    """Send a message every 100 ms until standard input ends, and print what each took."""
    import select

    api = Api()
    session_id = api.new_session()
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        begun = time.perf_counter()
        answer = api("POST", f"/sessions/{session_id}/messages", {"text": "what do I have"})
        if answer.status == 503:  # moto keeps its clients waiting for longer than they do
            print("503", flush=True)
            continue
        assert answer.status == 201, answer
        print(json.dumps([time.time(), (time.perf_counter() - begun) * 1000]), flush=True)
    api.close()


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Take the seconds that each kind of work takes."""
    taken: dict[str, float] = {}

    def timing(work: type[ExpiredSessions | ExpiredMemory]) -> None:
        page = work.page

        def one(self: Any, place: str | None, *, dry_run: bool) -> Any:
            begun = time.perf_counter()
            try:
                return page(self, place, dry_run=dry_run)
            finally:
                kind = getattr(self, "kind", "memory")
                taken[kind] = taken.get(kind, 0.0) + time.perf_counter() - begun

        work.page = one  # type: ignore[method-assign]
        restored.callback(setattr, work, "page", page)

    with ExitStack() as restored:
        timing(ExpiredSessions)
        timing(ExpiredMemory)
        yield taken


def clean(parts: Composition, stops: int, seconds: float | None) -> tuple[dict[str, Counted], int]:
    """Clean up, stopped by the deadline some times; give the sums and the calls."""
    sums: dict[str, Counted] = {}
    cursor, calls = None, 0
    while True:
        calls += 1
        end = time.monotonic() + seconds if seconds and calls <= stops else float("inf")
        left = partial(lambda end: end - time.monotonic(), end)
        report = parts.cleaner.clean(CleanupRequest(cursor=cursor), left=left)
        for kind, counted in report.kinds.items():
            sums[kind] = sums.get(kind, Counted()) + counted
        cursor = report.next_cursor
        if cursor is None:
            return sums, calls


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", choices=["sqlite", "dynamodb"], default="sqlite")
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--stop-after", type=float, help="seconds after which each of 3 calls ends")
    parser.add_argument("--talk", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.talk:
        talk()
        return
    with deployment(arguments.store) as (sql, parts):
        seed(sql, parts, arguments.sessions)
        print(json.dumps(measured(sql, parts, arguments)))


def measured(
    sql: psycopg.Connection, parts: Composition, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Measure a cleanup with a conversation beside it."""
    talking = subprocess.Popen(
        [sys.executable, "-m", "bench.cleanup", "--talk"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(15)  # its first turns are the process's cold start, then it talks undisturbed
    process = psutil.Process()
    before = process.memory_info().rss
    begun, begun_at = time.perf_counter(), time.time()
    with timed() as seconds:
        sums, calls = clean(parts, 3, arguments.stop_after)
    took, ended_at = time.perf_counter() - begun, time.time()
    grown = process.memory_info().rss - before
    said, _ = talking.communicate("\n")
    refused = said.splitlines().count("503")
    turns = [json.loads(line) for line in said.splitlines() if line != "503"][20:]
    alone = [ms for at, ms in turns if at < begun_at]
    beside = [ms for at, ms in turns if begun_at <= at <= ended_at]
    whole = ("closed_sessions", "empty_sessions")
    deleted = sum(sums[kind].found for kind in whole)
    left = sql.execute(
        "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM memory_deletions)"
    ).fetchone()
    return {
        "store": arguments.store,
        "sessions": arguments.sessions,
        "found": {kind: counted.found for kind, counted in sums.items() if counted.found},
        "failures": sum(counted.failures for counted in sums.values()),
        "calls": calls,
        "seconds": round(took, 1),
        "sessions deleted a second": round(deleted / sum(seconds[kind] for kind in whole)),
        "turns' memory a second": round(sums["memory"].found / seconds.get("memory", 1.0)),
        "resident memory grown by MB": round(grown / 1e6, 1),
        "a turn alone, ms (median, p95)": _figures(alone),
        "a turn beside it, ms (median, p95)": _figures(beside),
        "turns refused with 503": refused,
        "left: sessions, in the outbox": left,
    }


def _figures(milliseconds: list[float]) -> list[float]:
    if len(milliseconds) < 2:
        return milliseconds
    return [
        round(statistics.median(milliseconds), 1),
        round(statistics.quantiles(milliseconds, n=20)[-1], 1),
    ]


if __name__ == "__main__":
    main()
