"""The packaged functions, beside a real PostgreSQL, moto's services and a model's HTTP server."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from moto.server import ThreadedMotoServer

from parley_local.issuer import AUDIENCE, ISSUER, jwks
from parley_local.postgres import EmbeddedPostgres
from parley_testing.account.moto import Account
from parley_testing.api.pages import Pages
from parley_testing.models.server import ModelServer
from parley_testing.packaged.deployment import (
    Deploy,
    Deployment,
    new_memory_table,
    stack_variables,
)
from parley_testing.packaged.packages import Packages, make_packages
from parley_testing.postgres.databases import DatabasePool, connect, temporary_postgres

collect_ignore = ["projects"]  # which have tests of their own, in a project
_TEMPLATE = "parley_template"


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """What `make package` makes for this machine, unpacked; once for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    kept = shared / "packages.pickle"
    with (shared / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            (shared / "packages").mkdir()
            kept.write_bytes(pickle.dumps(make_packages(shared / "packages")))
    made: Packages = pickle.loads(kept.read_bytes())
    return made


@pytest.fixture(scope="session")
def account() -> Iterator[Account]:
    """An AWS account."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Account(f"http://{host}:{port}")
    server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A real server."""
    with temporary_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def databases(
    postgres: EmbeddedPostgres, packages: Packages, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DatabasePool]:
    """Databases that the packaged `migrate` function has migrated."""
    postgres.create_database(_TEMPLATE)
    variables = {
        "DATABASE_URL": postgres.url(_TEMPLATE),
        "DATABASE_RUNTIME_URL": postgres.runtime_url(_TEMPLATE),
    }
    with Deployment(packages, variables, tmp_path_factory.mktemp("migrate")) as deployment:
        assert "revision" in deployment["Migrate"].invoke({"action": "migrate"}).json
    with closing(DatabasePool(postgres, _TEMPLATE)) as databases:
        yield databases


@pytest.fixture
def database_url(databases: DatabasePool) -> Iterator[str]:
    """A database of the test's own."""
    with databases.lend() as url:
        yield url


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection of the test's own, past Parley's code."""
    with connect(database_url) as connection:
        yield connection


@pytest.fixture
def memory_table(account: Account, packages: Packages) -> str:
    """An empty table."""
    return new_memory_table(account, packages)


@pytest.fixture
def wakeups(account: Account) -> str:
    """The URL of an empty queue."""
    return account.queue()


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model's HTTP server."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Pages]:
    """A server with the local issuer's keys, where CloudFormation's answers can be put too."""
    with Pages() as pages:
        pages.pages["/keys"] = jwks(tmp_path / "issuer")
        yield pages


@pytest.fixture
def deploy(
    packages: Packages,
    account: Account,
    database_url: str,
    memory_table: str,
    wakeups: str,
    model: ModelServer,
    pages: Pages,
    tmp_path: Path,
) -> Iterator[Deploy]:
    """Makes deployments: each is a set of processes of its own on the same stores."""
    made: list[Deployment] = []

    def make(*, timeout: int | None = None, **variables: str) -> Deployment:
        logs = tmp_path / f"deployment-{len(made)}"
        logs.mkdir()
        stack = {
            **stack_variables(account, database_url, memory_table, wakeups, model),
            "OIDC_ISSUER": ISSUER,
            "OIDC_AUDIENCE": AUDIENCE,
            "OIDC_JWKS_URL": f"{pages.url}/keys",
        }
        made.append(Deployment(packages, stack | variables, logs, timeout=timeout))
        return made[-1]

    yield make
    for deployment in made:
        deployment.__exit__()


@pytest.fixture
def deployment(deploy: Deploy) -> Deployment:
    """The stack, each function cold."""
    return deploy()
