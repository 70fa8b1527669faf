"""The packaged functions, beside a real PostgreSQL, moto's services and a model's HTTP server."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from moto.server import ThreadedMotoServer
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

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


class _InTwo(LoadScopeScheduling):  # type: ignore[misc]
    """One worker has the tests of what is installed, another those of the checkout's packages."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        packaged = file.startswith("tests/e2e/") and not file.endswith("/test_installed.py")
        return "packaged" if packaged else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Let workers of pytest-xdist share the tests so, and those of other folders by file."""
    return _InTwo(config, log)


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
    with pytest.MonkeyPatch.context() as patch:
        # Else a queue is emptied once a minute only, as on AWS.
        patch.setenv("MOTO_SQS_ENFORCE_STRICT_QUEUE_PURGE_BEHAVIOUR", "false")
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


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the local issuer, whose tokens the stacks take."""
    return tmp_path_factory.mktemp("issuer")


@pytest.fixture(scope="session")
def shared_pages(issuer: Path) -> Iterator[Pages]:
    """The server behind `pages`."""
    with Pages() as pages:
        pages.pages["/keys"] = jwks(issuer)
        yield pages


@pytest.fixture
def pages(shared_pages: Pages) -> Pages:
    """A server with the local issuer's keys, where CloudFormation's answers can be put too."""
    shared_pages.sent.clear()
    return shared_pages


@dataclass(frozen=True)
class Shared:
    """What the stacks of a run work on, one test after the other, and what they are told of it."""

    database_url: str
    memory_table: str
    wakeups: str
    model: ModelServer
    variables: dict[str, str]


@pytest.fixture(scope="session")
def shared(
    packages: Packages, account: Account, databases: DatabasePool, shared_pages: Pages
) -> Iterator[Shared]:
    """One database, table, queue and model server: a process that knows them serves all tests."""
    with databases.lend() as url, ModelServer() as model:
        table, wakeups = new_memory_table(account, packages), account.queue()
        variables = {
            **stack_variables(account, url, table, wakeups, model),
            "OIDC_ISSUER": ISSUER,
            "OIDC_AUDIENCE": AUDIENCE,
            "OIDC_JWKS_URL": f"{shared_pages.url}/keys",
        }
        yield Shared(url, table, wakeups, model, variables)


@pytest.fixture(scope="session")
def warm(
    packages: Packages, shared: Shared, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """The processes behind `deployment`."""
    with Deployment(packages, shared.variables, tmp_path_factory.mktemp("warm")) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def warm_elsewhere(
    packages: Packages, shared: Shared, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """The processes behind `elsewhere`."""
    with Deployment(packages, shared.variables, tmp_path_factory.mktemp("elsewhere")) as deployment:
        yield deployment


@pytest.fixture
def emptied(shared: Shared, databases: DatabasePool, account: Account) -> Iterator[Shared]:
    """The same, with nothing of an earlier test in it."""
    databases.empty(shared.database_url)
    account.empty(shared.memory_table)
    account.purge(shared.wakeups)
    shared.model.begin_anew()
    yield shared
    shared.model.would_refuse_none()


@pytest.fixture
def database_url(emptied: Shared) -> str:
    """The stacks' database, empty."""
    return emptied.database_url


@pytest.fixture
def sql(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection of the test's own, past Parley's code."""
    with connect(database_url) as connection:
        yield connection


@pytest.fixture
def memory_table(emptied: Shared) -> str:
    """Their table, empty."""
    return emptied.memory_table


@pytest.fixture
def wakeups(emptied: Shared) -> str:
    """The URL of their queue, empty."""
    return emptied.wakeups


@pytest.fixture
def model(emptied: Shared) -> ModelServer:
    """Their model's HTTP server."""
    return emptied.model


@pytest.fixture
def deployment(emptied: Shared, warm: Deployment) -> Deployment:
    """The stack. Its processes serve all tests: who kills one, or changes it, makes its own."""
    return warm


@pytest.fixture
def elsewhere(emptied: Shared, warm_elsewhere: Deployment) -> Deployment:
    """Other processes of the same stack, which serve all tests too."""
    return warm_elsewhere


@pytest.fixture
def deploy(packages: Packages, emptied: Shared, tmp_path: Path) -> Iterator[Deploy]:
    """Makes deployments: each is a set of processes of the test's own on the same stores."""
    made: list[Deployment] = []

    def make(*, timeout: int | None = None, **variables: str) -> Deployment:
        logs = tmp_path / f"deployment-{len(made)}"
        logs.mkdir()
        made.append(Deployment(packages, emptied.variables | variables, logs, timeout=timeout))
        return made[-1]

    yield make
    for deployment in made:
        deployment.__exit__()
