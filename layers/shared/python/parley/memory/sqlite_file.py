"""The SQLite file: its tables, its one connection, its errors."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from parley.errors import StoreUnavailable

_PAUSE_SECONDS = 0.01

# The payload stands last, so that counting turns does not walk through its overflow pages.
_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS turns (
        conversation TEXT NOT NULL,
        number INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'done')),
        updated_at REAL NOT NULL,
        version INTEGER,
        items INTEGER,
        bytes INTEGER,
        payload BLOB,
        PRIMARY KEY (conversation, number)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS records (
        conversation TEXT NOT NULL,
        number INTEGER NOT NULL,
        position TEXT NOT NULL,
        version INTEGER NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (conversation, number, position)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS event_chunks (
        conversation TEXT NOT NULL,
        number INTEGER NOT NULL,
        first INTEGER NOT NULL,
        count INTEGER NOT NULL,
        writer TEXT NOT NULL,
        version INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (conversation, number, first)
    )
    """,
    "CREATE INDEX IF NOT EXISTS event_chunks_by_expiry ON event_chunks (expires_at)",
)

_CONTENDED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_UNAVAILABLE = _CONTENDED | frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)


class SqliteFile:
    """One file and one connection to it, opened at first use and shared by this process's threads.

    Args:
        path: The file. It is made if it is not there; its folder has to be.
        wait_seconds: How long to wait for another process that writes.
    """

    def __init__(self, path: Path, wait_seconds: float) -> None:
        self._path = path
        self._wait_seconds = wait_seconds
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection to one thread, for single statements.

        Raises:
            StoreUnavailable: The file is locked for longer than the wait, or cannot be used.
        """
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = _open(self._path, self._wait_seconds)
                yield self._connection
            except sqlite3.OperationalError as error:
                if _primary_code(error) not in _UNAVAILABLE:
                    raise
                if _primary_code(error) not in _CONTENDED:
                    self._let_go()  # opened read-only, it would stay so
                raise StoreUnavailable("agent-session store", error.sqlite_errorname) from error

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection inside a transaction that commits, or rolls back on an exception.

        Raises:
            StoreUnavailable: The file is locked for longer than the wait, or cannot be used.
        """
        with self.reading() as connection:
            # IMMEDIATE: a transaction that reads first could not wait for its turn to write.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # Some errors, such as a full disk, have rolled the transaction back already.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the connection. A later use opens it again."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _open(path: Path, wait_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=wait_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        _write_ahead(connection, wait_seconds)
        connection.execute("PRAGMA synchronous = NORMAL")
        for table in _TABLES:
            connection.execute(table)
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection, wait_seconds: float) -> None:
    # SQLite does not wait for its lock here: of several processes that open a new file at once,
    # all but one are told at once that it is busy.
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if _primary_code(error) not in _CONTENDED or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)


def _primary_code(error: sqlite3.OperationalError) -> int:
    # Errors that the sqlite3 module makes itself carry no code.
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF
