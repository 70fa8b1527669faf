"""The plugin in a project of somebody's, under a pytest of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from parley_backend import backend
from parley_testing.agents_brought import documented
from parley_testing.run.at_length import times
from parley_testing.some_places import at_some_places

PROJECT = """
[tool.parley]
default = "desk"
migrations = "migrations"

[tool.parley.agents.desk]
target = "desk:agent"
description = "Books tables."

[tool.parley.environment]
GREETING = { default = "Hello" }
SIGN = { secret = true }
"""

DESK = """
import os

from agents import Agent
from sqlalchemy import text

from parley import Effect, effect_tool


@effect_tool
def book(effect: Effect, size: int) -> str:
    "Book a table."
    effect.db.execute(
        text("INSERT INTO desk.bookings VALUES (:turn, :guest, :size)"),
        {"turn": effect.turn_id, "guest": effect.user_id, "size": size},
    )
    return f"{os.environ['GREETING']}, booked. {os.environ['SIGN']}"


agent = Agent(name="desk", tools=[book])
"""

MIGRATION = """
from alembic import op

revision = "one"
down_revision = None


def upgrade():
    op.execute("CREATE SCHEMA desk")
    op.execute("CREATE TABLE desk.bookings (turn uuid PRIMARY KEY, guest text, size int)")
"""

RETURNS = """
from alembic import op

revision = "returns_1"
down_revision = "notes_1"


def upgrade():
    op.execute("CREATE TABLE returns (id bigserial PRIMARY KEY, user_id text, number text)")
"""

TESTS = """
import schema  # a module of the project's
import pytest

from parley.testing import NotSurvived, calls, says

MODEL = [calls("book", size=4), says("Booked.")]


@pytest.mark.parametrize("mode", ["wait", "background"])
def test_it_books(parley, mode):
    result = parley.run(parley.turn("desk", "A table for four", model=MODEL, mode=mode))

    assert result.reply == "Booked."
    assert result.tool_calls[0].output == "Hello, booked. Yours"
    assert parley.database.rows("SELECT size FROM desk.bookings") == [{"size": 4}]


def test_it_survives(parley):
    assert parley.survives(parley.turn("desk", "A table for four", model=MODEL)).points


def test_its_own_tables_are_compared(parley):
    turn = parley.turn("desk", "A table for four", model=MODEL)
    parley.database.execute("ALTER TABLE desk.bookings DROP CONSTRAINT bookings_pkey")
    parley.database.execute(
        "CREATE FUNCTION doubled() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF (SELECT attempt > 1 FROM turns WHERE id = NEW.turn) THEN NEW.size := 8; END IF;"
        " RETURN NEW; END $$;"
        "CREATE TRIGGER doubled BEFORE INSERT ON desk.bookings"
        " FOR EACH ROW EXECUTE FUNCTION doubled()"
    )

    with pytest.raises(NotSurvived, match="In the table desk.bookings"):
        parley.survives(turn)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "pyproject.toml": PROJECT,
        ".env": "SIGN=Yours\n",
        "desk.py": DESK,
        "schema.py": "",
        "migrations/one.py": MIGRATION,
        "tests/test_desk.py": TESTS,
    }
    return write(tmp_path, files)


def write(root: Path, files: Mapping[Any, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def run_surviving(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_pytest(project, *at_some_places(project), *arguments)


def run_pytest(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Nothing of the manifest that this process has: a plain pytest in the folder.
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTEST_ADDOPTS")}
    # A plugin of this environment's that takes half a second to import.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:schemathesis", *arguments]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def test_the_tests_of_a_project_have_its_agents_tables_and_variables_in_workers_too(
    project: Path,
) -> None:
    workers = times(enough=1, full=2)  # each has a server of its own

    done = run_surviving(project, "-p", "no:asyncio", "-n", str(workers))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


@pytest.mark.at_length("the pages' tests below have no workers, and those above no asyncio")
def test_so_it_is_without_workers(project: Path) -> None:
    done = run_surviving(project, "-p", "no:asyncio", "-p", "no:xdist")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_what_the_page_on_testing_shows_is_so(tmp_path: Path) -> None:
    files = {**documented.files(), **documented.files("testing.md")}
    project = write(tmp_path, {"pyproject.toml": documented.table()} | files)

    done = run_surviving(project, "-p", "no:xdist")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


def test_what_the_page_on_routes_shows_is_so_and_an_export_of_agent_builder_becomes_a_project(
    tmp_path: Path,
) -> None:
    builder, files = documented.table("agent-builder.md"), documented.files("agent-builder.md")
    exported, stub = Path("my_desk/exported.py"), "@function_tool\ndef return_order(number: str):"
    assert f"{stub}\n    pass\n" in files[exported]
    files[exported] = files[exported].replace(
        f"{stub}\n    pass\n", "from my_desk.tools import return_order\n"
    )
    default, _, agents = builder.partition("[tool.parley.agents]\n")
    routes = documented.table("routes.md").removeprefix("[tool.parley]\n")
    more = {
        "pyproject.toml": f"{default.rstrip()}\n{routes.rstrip()}\n{agents}",
        "my_desk/agent.py": "from agents import Agent\n\nbuild = Agent(name='desk')\n",
        "migrations/returns_1.py": RETURNS,
    }
    # Two pages in one project: each has all that the other has not.
    project = write(tmp_path, {**files, **documented.files("routes.md"), **more})

    done = run_surviving(project, "-p", "no:xdist")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


PLAIN = """
@function_tool
def add_task(title: str) -> str:
    "Add a task, and tell somebody."
    with open(os.environ["SENT"], "a") as sent:
        sent.write(title)
    return f"Added “{title}”."


"""


@pytest.mark.at_length("e2e/test_installed.py does this with the starter, from a wheel")
@pytest.mark.parametrize("plain", [False, True])
def test_the_starter_survives_unless_its_effect_tool_is_a_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    project = tmp_path / "todo"
    shutil.copytree(backend("examples", "todo"), project)
    monkeypatch.setenv("SENT", str(tmp_path / "sent"))
    agent = project / "todo_desk" / "agent.py"
    before, tool, after = re.split(r"(?s)(@effect_tool\n.*?)(?=@read_tool)", agent.read_text())
    imports = "import os\nfrom agents import function_tool\n\n"
    agent.write_text(f"{before}{imports}{PLAIN}{after}" if plain else f"{before}{tool}{after}")

    done = run_pytest(project, "-p", "no:xdist", "-k", "wherever_the_process_dies")

    if plain:
        assert done.returncode == pytest.ExitCode.TESTS_FAILED
        assert "NotSurvived" in done.stdout
        assert "The tool add_task ran 2 times." in done.stdout
    else:
        assert done.returncode == 0, done.stdout + done.stderr
        assert "1 passed" in done.stdout


def test_what_is_wrong_with_the_project_is_said_before_any_test(project: Path) -> None:
    (project / "pyproject.toml").write_text(PROJECT.replace('"desk"', '"dusk"'))

    done = run_pytest(project)

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "pyproject.toml" in done.stderr
    assert "dusk" in done.stderr
    assert "Traceback" not in done.stderr


def test_where_no_process_can_be_copied_it_says_so(tmp_path: Path) -> None:
    conftest, test = "import os\n\ndel os.fork\n", "def test_it(parley):\n    pass\n"
    project = write(tmp_path, {"conftest.py": conftest, "test_it.py": test})

    done = run_pytest(project, "-p", "no:xdist")

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "ForkMissing" in done.stdout
    assert "WSL" in done.stdout


def test_pytest_elsewhere_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\n\n\ndef test_it():\n"
        "    assert not {'agents', 'pydantic', 'sqlalchemy', 'parley_manifest'} & {*sys.modules}\n"
    )

    done = run_pytest(tmp_path, "-p", "no:asyncio")

    assert done.returncode == 0, done.stdout
