"""`parley migrate` on somebody's own database, as its owner."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from parley_cli.main import app
from parley_local.postgres import EmbeddedPostgres
from parley_testing.postgres.databases import connect, runtime_url


@pytest.mark.parametrize("guarded", [True, False], ids=["with a run-time role", "without"])
def test_it_migrates_and_makes_the_role_that_is_named(
    postgres: EmbeddedPostgres, guarded: bool
) -> None:
    name = f"by_command_{guarded}".lower()
    postgres.create_database(name)
    url = postgres.url(name)
    named = ["--runtime-url", runtime_url(url)] if guarded else []

    done = CliRunner(env={"DATABASE_URL": "", "DATABASE_RUNTIME_URL": ""}).invoke(
        app, ["migrate", "--database-url", url, *named]
    )

    assert done.exit_code == 0, done.output
    with connect(url) as sql:
        assert sql.execute("SELECT version_num FROM alembic_version").fetchone() == (
            done.stdout.strip(),
        )
        bound = sql.execute("SELECT relrowsecurity FROM pg_class WHERE relname = 'tasks'")
        assert bound.fetchone() == (guarded,)
