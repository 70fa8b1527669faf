"""The SQLite file: its tables, its one connection, its errors.

A file that cannot be read is set aside, and another is begun: what the agent remembers is rebuilt
from the transcript (design, section 2, promise 8), and nobody should have to find the file first.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from parley.errors import ParleyError, StoreMisconfigured, StoreRefused, StoreUnavailable
from parley.memory.set_aside import FileIdentity, identity, set_aside
from parley.memory.store import NO_TURN

_PAUSE_SECONDS = 0.01

_FORMAT = 3
"""The format of the tables. In the first, nothing carried the id of its turn; in the second, turns
did not expire."""

# The payload stands last, so that counting turns does not walk through its overflow pages.
_TABLES = (
    """
    CREATE TABLE turns (
        conversation TEXT NOT NULL,
        number INTEGER NOT NULL,
        turn_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('open', 'done')),
        updated_at REAL NOT NULL,
        version INTEGER,
        items INTEGER,
        bytes INTEGER,
        expires_at INTEGER,
        payload BLOB,
        PRIMARY KEY (conversation, number, turn_id)
    )
    """,
    """
    CREATE TABLE records (
        conversation TEXT NOT NULL,
        number INTEGER NOT NULL,
        turn_id TEXT NOT NULL,
        position TEXT NOT NULL,
        version INTEGER NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (conversation, number, turn_id, position)
    )
    """,
    """
    CREATE TABLE event_chunks (
        conversation TEXT NOT NULL,
        number INTEGER NOT NULL,
        turn_id TEXT NOT NULL,
        first INTEGER NOT NULL,
        count INTEGER NOT NULL,
        writer TEXT NOT NULL,
        version INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        payload BLOB NOT NULL,
        PRIMARY KEY (conversation, number, turn_id, first)
    )
    """,
    "CREATE INDEX event_chunks_by_expiry ON event_chunks (expires_at)",
    "CREATE INDEX turns_by_expiry ON turns (expires_at) WHERE expires_at IS NOT NULL",
)

# What was appended past the turn protocol never had an id, and stays. What has one now is absent
# under none: it is rebuilt from the transcript.
_FROM_THE_FIRST = (
    "ALTER TABLE turns RENAME TO first_turns",
    "DROP TABLE records",
    "DROP TABLE event_chunks",
    *_TABLES,
    f"""
    INSERT INTO turns (conversation, number, turn_id, attempt, state, updated_at, version, items,
                       bytes, payload)
    SELECT conversation, number, '{NO_TURN}', attempt, state, updated_at, version, items, bytes,
           payload
    FROM first_turns WHERE state = 'done'
    """,
    "DROP TABLE first_turns",
)

# What was written without a time to live gets a month from when it was written; a turn that is used
# is written anew before that.
_FROM_THE_SECOND = (
    "ALTER TABLE turns ADD COLUMN expires_at INTEGER",
    f"""
    UPDATE turns SET expires_at = CAST(updated_at AS INTEGER) + 30 * 86400
    WHERE state = 'done' AND turn_id <> '{NO_TURN}'
    """,
    "CREATE INDEX turns_by_expiry ON turns (expires_at) WHERE expires_at IS NOT NULL",
)

_CONTENDED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_UNREADABLE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
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

# A table of ours is gone: whoever mends or removes the file mends the store.
_MISCONFIGURED = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA})
_STORE = "agent-session store"


class _OfALaterParley(ParleyError):
    """The file's format is one that this code does not know."""


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
        self._file: FileIdentity | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection to one thread, for single statements.

        Raises:
            StoreUnavailable: The file is locked for longer than the wait, or cannot be used.
            StoreMisconfigured: It is not a database, or not one of ours.
            StoreRefused: SQLite cannot take what is written.
        """
        with self._lock:
            try:
                if self._connection is None:
                    self._connection, self._file = _opened(self._path, self._wait_seconds)
                yield self._connection
            except (sqlite3.DatabaseError, OverflowError) as error:
                code = _primary_code(error)
                name = getattr(error, "sqlite_errorname", type(error).__name__)
                if code in _UNREADABLE:
                    self._let_go()
                    set_aside(self._path, self._file, str(error))
                    raise StoreUnavailable(_STORE, str(error)) from error
                if code in _UNAVAILABLE | _MISCONFIGURED and code not in _CONTENDED:
                    self._let_go()  # opened read-only, it would stay so
                if code in _UNAVAILABLE:
                    raise StoreUnavailable(_STORE, name) from error
                if code in _MISCONFIGURED:
                    raise StoreMisconfigured(_STORE, name) from error
                raise StoreRefused(_STORE, name) from error

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


def _opened(path: Path, wait_seconds: float) -> tuple[sqlite3.Connection, FileIdentity | None]:
    """Open the file, or another one if it is damaged; and tell which it is."""
    file = identity(path)
    try:
        return _open(path, wait_seconds), file or identity(path)
    except (sqlite3.DatabaseError, _OfALaterParley) as error:
        if isinstance(error, sqlite3.DatabaseError) and _primary_code(error) not in _UNREADABLE:
            raise
        set_aside(path, file, str(error))
        file = identity(path)
        return _open(path, wait_seconds), file or identity(path)


def _open(path: Path, wait_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=wait_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        _write_ahead(connection, wait_seconds)
        connection.execute("PRAGMA synchronous = NORMAL")
        _make_tables(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    if _format(connection) == _FORMAT:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _format(connection)  # another process may have been here first
        if found > _FORMAT:
            raise _OfALaterParley(f"its format is {found}, and this code knows {_FORMAT}")
        if found < _FORMAT:
            for statement in _statements(connection, found):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(connection: sqlite3.Connection, found: int) -> tuple[str, ...]:
    """Return what makes the tables of this format of those that there are, or of none."""
    if found == 2:
        return _FROM_THE_SECOND
    old = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'turns'"
    first = connection.execute(old).fetchone() is not None
    return _FROM_THE_FIRST if first else _TABLES


def _format(connection: sqlite3.Connection) -> int:
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)


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


def _primary_code(error: Exception) -> int | None:
    # Errors that the sqlite3 module makes itself carry no code: it cannot take what it was given.
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
