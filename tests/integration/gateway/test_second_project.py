"""A project of one's own: a table, a setting, a secret, routes, and two agents on two servers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from parley_backend import backend
from parley_local.agent_check import check_project
from parley_local.own_template import SERVES_ROUTES
from parley_local.stack import LocalStack, StackFailed
from parley_local.template_file import read_template
from parley_packages.project_template import project_template
from parley_testing.models.server import Called, ModelServer, Said, in_order
from parley_testing.waiting import HANG_SECONDS

PYPROJECT = """
[project]
name = "bistro"
version = "1"

[tool.parley]
default = "host"
migrations = "migrations"
user_data = "bistro.tables:TABLES"
routes = ["bistro.routes"]

[tool.parley.agents.host]
target = "bistro.agents:host"
description = "Books tables."
model = "small"
base_url = "{host}"
key = "BISTRO_KEY"

[tool.parley.agents.chef]
target = "bistro.agents:chef"
description = "Tells what there is to eat."
base_url = "{chef}"
api = "chat_completions"

[tool.parley.environment]
BISTRO_KEY = {{ secret = true }}
BISTRO_HOUSE = {{ default = "Chez Parley" }}
"""

AGENTS = '''
"""The agents."""
import os

from agents import Agent
from sqlalchemy import text

from parley import Effect, effect_tool

HOUSE = os.environ["BISTRO_HOUSE"]

@effect_tool
def book(effect: Effect, people: int) -> str:
    """Book a table.

    Args:
        people: How many.
    """
    effect.db.execute(
        text("INSERT INTO bookings (user_id, people) VALUES (:user_id, :people)"),
        {"user_id": effect.user_id, "people": people},
    )
    return f"Booked at {HOUSE}."

host = Agent(name="host", instructions="Book tables.", tools=[book])
chef = Agent(name="chef", instructions="Cook.")
'''

TABLES = """
from parley import UserTable
TABLES = [UserTable("bookings")]
"""

ROUTES = '''
"""What guests see of their bookings."""
from pydantic import BaseModel
from sqlalchemy import text

from parley.http import Caller, Database, Router

router = Router()

class Booking(BaseModel):
    people: int

class BookingList(BaseModel):
    items: list[Booking]
    of: str

@router.get("/bookings", summary="List bookings")
def list_bookings(user: Caller, database: Database) -> BookingList:
    rows = database.run(text("SELECT people FROM bookings"))  # whose, row-level security says
    return BookingList(items=[Booking(people=row.people) for row in rows], of=user.user_id)
'''

MIGRATION = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "one", None, None, None
def upgrade():
    op.create_table(
        "bookings",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
    )
"""


@pytest.fixture
def host() -> Iterator[ModelServer]:
    booked = in_order(Called("book", {"people": 4}), Said("Your table is booked."))
    with ModelServer(booked) as server:
        yield server


@pytest.fixture
def chef() -> Iterator[ModelServer]:
    with ModelServer(in_order(Said("Soup."))) as server:
        yield server


@pytest.fixture
def bistro(tmp_path: Path, host: ModelServer, chef: ModelServer) -> Path:
    """The project's folder, outside of the checkout."""
    root = tmp_path / "bistro"
    for name, text in {
        "pyproject.toml": PYPROJECT.format(host=host.base_url, chef=chef.base_url),
        "bistro/__init__.py": "",
        "bistro/agents.py": AGENTS,
        "bistro/tables.py": TABLES,
        "bistro/routes.py": ROUTES,
        "migrations/one.py": MIGRATION,
        ".env": "BISTRO_KEY=from the file\nBISTRO_HOUSE=La Source\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def ask(stack: LocalStack, agent: str, user: str) -> Any:
    answer = httpx.post(
        stack.url + "/messages",
        json={"text": "for four, please", "session_name": agent, "agent": agent},
        headers=stack.headers(user),
        timeout=HANG_SECONDS,
        trust_env=False,
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["reply"]["content"]


def test_its_whole_path(bistro: Path, host: ModelServer, chef: ModelServer) -> None:
    data = bistro.parent / "data"
    with LocalStack(
        data, project=bistro, env={"BISTRO_HOUSE": "From the shell"}, ready_within=HANG_SECONDS
    ) as stack:
        assert ask(stack, "host", "ada") == "Your table is booked."
        assert ask(stack, "chef", "ada") == "Soup."

        def admin(method: str, path: str) -> httpx.Response:
            headers = stack.headers("root", admin=True)
            return httpx.request(
                method, stack.url + path, headers=headers, timeout=HANG_SECONDS, trust_env=False
            )

        def booked(user: str) -> Any:
            headers = stack.headers(user)
            answer = httpx.get(
                stack.url + "/bookings", headers=headers, timeout=HANG_SECONDS, trust_env=False
            )
            assert answer.status_code == 200, answer.text
            return answer.json()

        assert booked("ada") == {"items": [{"people": 4}], "of": "ada"}
        assert booked("eve") == {"items": [], "of": "eve"}
        exported = admin("GET", "/admin/users/ada/export").text
        erased = admin("DELETE", "/admin/users/ada").json()

    assert [(asked.key, asked.body["model"], asked.path) for asked in host.asked] == [
        ("from the file", "small", "/responses")
    ] * 2
    assert "Booked at From the shell." in str(host.asked[1].input)
    assert [(asked.key, asked.path) for asked in chef.asked] == [("none", "/chat/completions")]
    assert '"table": "bookings"' in exported
    assert '"people": 4' in exported
    assert (erased["project"], erased["done"]) == ({"bookings": 1}, True)


def test_a_missing_secret_stops_the_start_with_its_name(bistro: Path) -> None:
    (bistro / ".env").unlink()
    stack = LocalStack(bistro.parent / "data", project=bistro, ready_within=HANG_SECONDS)

    with pytest.raises(StackFailed, match=r"BISTRO_KEY is not set, and \[tool\.parley"):
        stack.start()


def test_it_is_checked_whole(bistro: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("parley")), "check"],
        cwd=bistro, env=own, capture_output=True, text=True, timeout=HANG_SECONDS, check=False,
    )  # fmt: skip

    assert (checked.returncode, checked.stderr) == (0, "")
    assert [line.split()[0] for line in checked.stdout.splitlines()] == ["host", "chef"]


def test_its_routes_are_in_its_template(bistro: Path) -> None:
    project = check_project(bistro, os.environ)

    built = project_template(project, backend("template.yaml"), bistro / "built")

    own = project.paths
    assert own == ("/bookings",)
    served = read_template(backend("template.yaml")).with_paths(SERVES_ROUTES, own)
    assert set(read_template(built).routes) == set(served.routes)
