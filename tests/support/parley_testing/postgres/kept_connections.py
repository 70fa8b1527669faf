"""Connections that stay open when this process closes them, for who opens the same one next.

A new connection costs Postgres more than most tests do with it: its process begins with empty
caches, and reads from the system catalogs what it has to know of each table.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg.abc import PQGenConn
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ConnStatus, ExecStatus, PGconn, PipelineStatus, TransactionStatus
from psycopg.pq.abc import PGconn as AnyPGconn

# What a new connection begins with by where it goes and who logs in. Whatever changes it leaves
# another row here, and a kept connection would lack it.
_CIRCUMSTANCES = """
    SELECT ROW(datallowconn, datconnlimit, datdba, datacl, pg_conf_load_time(),
        (SELECT (count(*), max(xmin::text::bigint))::text FROM pg_db_role_setting),
        (SELECT (count(*), max(xmin::text::bigint))::text FROM pg_authid),
        (SELECT (count(*), max(xmin::text::bigint))::text FROM pg_auth_members))::text
    FROM pg_database WHERE datname = %s
"""
# Postgres cannot forget this setting: it is empty from the first time on, and was unknown.
_USER_IS_UNKNOWN = b"SELECT 1 WHERE current_setting('parley.user', true) IS NULL"
_AT_MOST = 30
"""How many are kept of all databases together: the server takes a hundred."""


@dataclass(frozen=True)
class _Opening:
    """How a connection is opened, but for the database's name.

    Attributes:
        kind: Psycopg's own, or Parley's.
        parameters: What libpq is told.
    """

    kind: type[psycopg.Connection[Any]]
    parameters: frozenset[tuple[str, object]]


@dataclass(frozen=True)
class _Opened:
    """What is open below a connection of psycopg's.

    Attributes:
        pgconn: libpq's connection.
        database: The database's name when somebody opened it last.
        opening: How that was.
        circumstances: What it began with by its database and login.
    """

    pgconn: AnyPGconn
    database: str
    opening: _Opening
    circumstances: object


class KeptConnections:
    """The connections to some databases that are open though nobody has them.

    Kept is what goes to the server's own socket without a password; what goes over a test's wire
    or through its pooler is opened and closed as ever, and so is all of another process. Who opens
    a connection as one was opened that is kept has that one, and cannot tell it from a new one but
    by `info`, which says the database's name of then: it has no transaction, lock, setting,
    prepared statement, temporary table or notification of its last use, a new one would begin with
    the same rights and settings, and what psycopg knows of it is new. A connection of which this
    is not known for sure is closed.
    """

    def __init__(self, server_url: str, admin: psycopg.Connection[Any]) -> None:
        """Keep none yet.

        Args:
            server_url: The URL of one of the server's databases, by its socket.
            admin: A connection of the server's owner to a database of which none is kept.
        """
        self._socket_directory = parse_qs(urlsplit(server_url).query)["host"][0]
        self._admin = admin
        self._process = os.getpid()
        self._lock = Lock()
        self._kept: dict[str, list[_Opened]] = {}

    @contextmanager
    def installed(self) -> Iterator[Self]:
        """Have psycopg come here when it opens and closes connections, until the block ends."""
        to_open: Any = psycopg.Connection._connect_gen
        to_close = psycopg.Connection.close

        def connect(
            cls: type[psycopg.Connection[Any]], conninfo: str = ""
        ) -> PQGenConn[psycopg.Connection[Any]]:
            place = self._place(conninfo)
            made: psycopg.Connection[Any]
            if place is None:
                made = yield from to_open.__func__(cls, conninfo)
                return made
            database, opening = place[0], _Opening(cls, place[1])
            circumstances = self._circumstances(database)
            if (kept := self._taken(database, opening, circumstances)) is None:
                made = yield from to_open.__func__(cls, conninfo)
            else:
                made = cls(kept)
            made._opened = _Opened(  # type: ignore[attr-defined]
                made.pgconn, database, opening, circumstances
            )
            return made

        def close(connection: psycopg.Connection[Any]) -> None:
            opened: _Opened | None = getattr(connection, "_opened", None)
            if opened is not None and not connection.closed and self._is_kept(opened):
                connection.pgconn = _closed()
            to_close(connection)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(psycopg.Connection, "_connect_gen", classmethod(connect))
            patch.setattr(psycopg.Connection, "close", close)
            yield self
        for database in list(self._kept):
            self.close(database)

    def keep(self, database: str) -> None:
        """Keep a database's connections from now on."""
        with self._lock:
            self._kept.setdefault(database, [])

    def close(self, database: str) -> None:
        """Close those of a database, and keep none of it any more."""
        for opened in self.withdrawn(database):
            opened.pgconn.finish()

    def withdrawn(self, database: str) -> list[_Opened]:
        """Return those of a database, which nobody can have from now on."""
        with self._lock:
            return self._kept.pop(database, [])

    def put_back(self, database: str, opened: list[_Opened]) -> None:
        """Keep connections again, of a database that may have got another name meanwhile."""
        with self._lock:
            self._kept[database] = opened

    def servers(self, database: str) -> set[int]:
        """Return which of the server's processes serve those of a database."""
        with self._lock:
            return servers_of(self._kept.get(database, []))

    def _place(self, conninfo: str) -> tuple[str, frozenset[tuple[str, object]]] | None:
        """Return a database and what else is said to reach it; None if nothing of it is kept."""
        said = conninfo_to_dict(conninfo)
        database = str(said.pop("dbname", ""))
        if database not in self._kept or os.getpid() != self._process:
            return None
        if said.get("host") != self._socket_directory or "password" in said:
            return None
        of_environment = {item for item in os.environ.items() if item[0].startswith("PG")}
        return database, frozenset({*said.items(), *of_environment})

    def _circumstances(self, database: str) -> object:
        return self._admin.execute(_CIRCUMSTANCES, [database]).fetchone()

    def _taken(self, database: str, opening: _Opening, circumstances: object) -> AnyPGconn | None:
        while True:
            with self._lock:
                kept = self._kept.get(database, [])
                fitting = [opened for opened in kept if opened.opening == opening]
                if not fitting:
                    return None
                # The one that was used last: it has read most.
                opened = fitting[-1]
                kept.remove(opened)
            # Somebody may have ended it meanwhile.
            if opened.circumstances == circumstances and _rows(opened.pgconn, b"") is not None:
                return opened.pgconn
            opened.pgconn.finish()

    def _is_kept(self, opened: _Opened) -> bool:
        """Return whether a connection could be made like a new one, and is kept."""
        if opened.database not in self._kept or os.getpid() != self._process:
            return False
        pgconn = opened.pgconn
        idle = (
            pgconn.status == ConnStatus.OK
            and pgconn.pipeline_status == PipelineStatus.OFF
            and pgconn.transaction_status == TransactionStatus.IDLE
        )
        if not idle or _rows(pgconn, b"DISCARD ALL") is None:
            return False
        # Each of Parley's transactions sets the user before anything else is done in it.
        if opened.opening.kind is psycopg.Connection and _rows(pgconn, _USER_IS_UNKNOWN) != 1:
            return False
        while pgconn.notifies() is not None:
            pass
        with self._lock:
            if opened.database not in self._kept:
                return False
            self._kept[opened.database].append(opened)
            if sum(map(len, self._kept.values())) > _AT_MOST:
                # Of the database that was lent longest ago.
                next(filter(None, self._kept.values())).pop(0).pgconn.finish()
        return True


def servers_of(opened: list[_Opened]) -> set[int]:
    """Return which of the server's processes serve these connections."""
    return {each.pgconn.backend_pid for each in opened}


def _rows(pgconn: AnyPGconn, statement: bytes) -> int | None:
    """Return how many rows a statement gives; None if it is not carried out."""
    try:
        result = pgconn.exec_(statement)
    except psycopg.OperationalError:
        return None
    return None if result.status == ExecStatus.FATAL_ERROR else result.ntuples


def _closed() -> AnyPGconn:
    """Return a connection that is closed."""
    pgconn = PGconn.connect_start(b"host=/nowhere")
    pgconn.finish()
    return pgconn
