"""What happens to Postgres: faults that last, and those that come once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress

import psycopg

from parley_testing.postgres.postgres_place import Conversation, Operation, Place
from parley_testing.waiting import HANG_SECONDS

_TIME_OUT_SECONDS = 0.25

Fault = Callable[[Conversation, Operation], AbstractContextManager[None]]


@contextmanager
def _refused(talk: Conversation, operation: Operation) -> Iterator[None]:
    wire = talk.place.wire
    wire.before(operation.statement, wire.refuse)
    yield


@contextmanager
def _dropped(talk: Conversation, operation: Operation) -> Iterator[None]:
    talk.place.wire.drop(operation.statement, always=True)
    yield


@contextmanager
def _answers_lost(talk: Conversation, operation: Operation) -> Iterator[None]:
    talk.place.wire.lose_answer(operation.statement, always=True)
    yield


@contextmanager
def _stalled(talk: Conversation, operation: Operation) -> Iterator[None]:
    talk.place.wire.stall(operation.statement)
    with talk.place.time_outs(_TIME_OUT_SECONDS):
        yield


@contextmanager
def _locked(talk: Conversation, operation: Operation) -> Iterator[None]:
    # The server ends it, however late this process hears of that.
    in_time = talk.place.time_outs(_TIME_OUT_SECONDS, answer=HANG_SECONDS)
    with in_time, _another(talk.place) as other:
        talk.place.wire.before(operation.statement, lambda: _lock(other))
        yield


@contextmanager
def _lock_time_out(talk: Conversation, operation: Operation) -> Iterator[None]:
    place = talk.place
    with _another(place) as other:

        def begins() -> None:
            _lock(other)
            place.set("SET lock_timeout = 20")
            place.wire.cut()

        place.wire.before(operation.statement, begins)
        try:
            yield
        finally:
            place.set("RESET lock_timeout")


@contextmanager
def _read_only(talk: Conversation, operation: Operation) -> Iterator[None]:
    name = "default_transaction_read_only"
    with _setting(talk.place, operation, f"SET {name} = on", f"RESET {name}"):
        yield


@contextmanager
def _too_many(talk: Conversation, operation: Operation) -> Iterator[None]:
    limited = _setting(talk.place, operation, "CONNECTION LIMIT 0", "CONNECTION LIMIT -1")
    with limited:
        yield


@contextmanager
def _setting(place: Place, operation: Operation, begin: str, end: str) -> Iterator[None]:
    def begins() -> None:
        place.set(begin)
        place.wire.cut()

    place.wire.before(operation.statement, begins)
    try:
        yield
    finally:
        place.set(end)


LASTING: Mapping[str, tuple[Fault, str]] = {
    "refused": (_refused, "no connection"),
    "dropped": (_dropped, "no connection"),
    "answers lost": (_answers_lost, "no connection"),
    # In a transaction it is the server that loses patience; on a busy machine maybe with a
    # statement that came before.
    "stalled": (_stalled, "no connection|25P03|57014"),
    "statement time-out": (_locked, "57014"),
    # These begin with a connection that is cut, after which a slow machine may not try again.
    "lock time-out": (_lock_time_out, "55P03|no connection"),
    "read-only": (_read_only, "25006|no connection"),
    "too many connections": (_too_many, "no connection"),
}
"""Faults that begin with the operation's statement and last as long as the block, with a pattern
of the reason that is logged for the refusal."""


@contextmanager
def _dropped_once(talk: Conversation, operation: Operation) -> Iterator[None]:
    talk.place.wire.drop(operation.statement)
    yield


@contextmanager
def _answer_lost_once(talk: Conversation, operation: Operation) -> Iterator[None]:
    talk.place.wire.lose_answer(operation.statement)
    yield


@contextmanager
def terminated(talk: Conversation, operation: Operation) -> Iterator[None]:
    """The server is shut down while the statement waits for a row (57P01)."""

    def terminate(other: psycopg.Connection, waiting: int) -> None:
        talk.place.sql.execute("SELECT pg_terminate_backend(%s, 5000)", (waiting,))
        other.rollback()

    with _meeting(talk, operation, terminate):
        yield


@contextmanager
def not_serializable(talk: Conversation, operation: Operation) -> Iterator[None]:
    """The row that the statement waits for is changed by another transaction (40001).

    Only in a place whose transactions are strict.
    """
    with _meeting(talk, operation, lambda other, _: other.commit()):
        yield


ONCE: Mapping[str, Fault] = {"dropped": _dropped_once, "answer lost": _answer_lost_once}
"""Faults that hit the operation's statement once."""


@contextmanager
def deadlock(talk: Conversation, operation: Operation) -> Iterator[None]:
    """The tool's transaction and another wait for each other; the server ends the tool's (40P01).

    It ends who closes the circle, since its patience is the shorter one.
    """
    with _another(talk.place) as other:
        other.execute("SET LOCAL deadlock_timeout = '1h'")

        def close_the_circle() -> None:
            _take_row(other, talk, operation)
            lock.start()
            _wait_until(lambda: _is_waiting(talk.place, other.info.backend_pid))

        def lock_what_the_tool_has() -> None:
            other.execute("LOCK TABLE tasks")
            other.rollback()

        lock = threading.Thread(target=lock_what_the_tool_has)
        talk.place.wire.before(operation.statement, close_the_circle)
        yield
        lock.join()


@contextmanager
def _meeting(
    talk: Conversation, operation: Operation, then: Callable[[psycopg.Connection, int], None]
) -> Iterator[None]:
    """Hold the row that the statement locks, and do something when the statement waits for it."""
    with _another(talk.place) as other:

        def take() -> None:
            _take_row(other, talk, operation)
            meeting.start()

        def meet() -> None:
            _wait_until(lambda: _waiting_for(talk.place, other) is not None)
            waiting = _waiting_for(talk.place, other)
            assert waiting is not None
            then(other, waiting)

        meeting = threading.Thread(target=meet)
        talk.place.wire.before(operation.statement, take)
        yield
        meeting.join()


def _take_row(other: psycopg.Connection, talk: Conversation, operation: Operation) -> None:
    if operation.row == "sessions":
        other.execute("UPDATE sessions SET platform = platform WHERE id = %s", [talk.session_id])
    else:
        other.execute(
            "UPDATE turns SET crashes = crashes WHERE session_id = %s AND status = 'running'",
            [talk.session_id],
        )


def _lock(other: psycopg.Connection) -> None:
    other.execute("LOCK TABLE sessions, turns, messages")


@contextmanager
def _another(place: Place) -> Iterator[psycopg.Connection]:
    """A second connection of the server's owner, in a transaction."""
    with psycopg.connect(place.owner_url) as other:
        yield other
        with suppress(psycopg.OperationalError):
            other.rollback()


def _waiting_for(place: Place, other: psycopg.Connection) -> int | None:
    row = place.sql.execute(
        "SELECT pid FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))",
        (other.info.backend_pid,),
    ).fetchone()
    return None if row is None else int(row[0])


def _is_waiting(place: Place, pid: int) -> bool:
    row = place.sql.execute("SELECT cardinality(pg_blocking_pids(%s))", (pid,)).fetchone()
    return row is not None and row[0] > 0


def _wait_until(happens: Callable[[], bool]) -> None:
    """Ask the server until something is so: it has no event for it."""
    while not happens():
        pass
