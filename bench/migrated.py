"""A Postgres with the schema of Parley and its project, for a bench."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from parley_local.postgres import EmbeddedPostgres
from parley_project.generated import serve_here
from parley_testing.api.handlers import load_function
from parley_testing.postgres.databases import temporary_postgres

DATABASE = "bench"
QUIET = {
    "POWERTOOLS_LOG_LEVEL": "ERROR",
    "POWERTOOLS_METRICS_DISABLED": "true",
    "POWERTOOLS_TRACE_DISABLED": "true",
}


@dataclass(frozen=True)
class Migrated:
    """What a bench has: a folder, and a server with a database.

    Attributes:
        server: The server.
        folder: For all other files. Both go with the block.
    """

    server: EmbeddedPostgres
    folder: Path

    @property
    def owner_url(self) -> str:
        """The database, for its owner."""
        return self.server.url(DATABASE)

    @property
    def runtime_url(self) -> str:
        """The database, as the functions log in to it."""
        return self.server.runtime_url(DATABASE)


@contextmanager
def migrated() -> Iterator[Migrated]:
    """Start a server and migrate a database; this process's environment names it from then on.

    What functions log is left out, but for errors.
    """
    with (
        tempfile.TemporaryDirectory(prefix="parley-bench-") as folder,
        temporary_postgres() as server,
    ):
        server.create_database(DATABASE)
        made = Migrated(server, Path(folder))
        os.environ |= {
            "DATABASE_URL": made.owner_url,
            "DATABASE_RUNTIME_URL": made.runtime_url,
            **QUIET,
        }
        serve_here(Path(__file__).parent, made.folder / "project")
        load_function("migrate").handler({"action": "migrate"}, None)
        yield made
