"""The agents of docs/agents.md, offered by the deployment."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from parley.manifest import Manifest, manifest
from parley.repository.database import Database
from parley.user_tables import kept_of_users
from parley_project.project import read_project
from parley_testing import projects
from parley_testing.agents_brought import documented
from parley_testing.agents_brought.documented import Talk
from parley_testing.api.handlers import Api, load_function
from parley_testing.models.server import ModelServer
from parley_testing.postgres.databases import owner_url


@pytest.fixture(autouse=True)
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write the page's files as a project, and offer its agents."""
    root = tmp_path / "page"
    monkeypatch.setenv("CALENDAR_URL", "http://127.0.0.1:9/mcp")
    monkeypatch.setenv("CALENDAR_TOKEN", "secret")
    monkeypatch.setenv("POET_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("POET_KEY", "the poet's")
    for path, code in documented.files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(code)
    (root / "pyproject.toml").write_text(documented.table())
    project = read_project(root / "pyproject.toml")
    monkeypatch.syspath_prepend(project.source)
    page, own = project.manifest, manifest()
    agents = {**own.agents, **page.agents}
    projects.offer(monkeypatch, Manifest(agents, own.default, user_data=page.user_data))
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_desk"]:
        del sys.modules[name]
    monkeypatch.undo()
    projects.forget()


@pytest.fixture
def migrated(page: Path, database_url: str) -> None:
    """Migrate the test's database with the page's migration."""
    projects.make_room(database_url)
    load_function("migrate")
    owner = Database(lambda: owner_url(database_url), statement_timeout=10, as_owner=True)
    import_module("schema").upgrade(owner, project=page / "migrations", kept=kept_of_users())
    owner.close()


@pytest.fixture
def talk(model_api: Api, model: ModelServer) -> Talk:
    return Talk(model_api, model)
