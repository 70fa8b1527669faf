"""A project's own code in a snapshot: what is built before it, and what fails there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from parley.manifest import MODULE
from parley_testing.account.moto import Account
from parley_testing.restored import copies

SAID = {"text": "Hello"}
AGENT = """
import os, uuid
from agents import Agent

HELD = uuid.uuid4().hex
KEY = os.environ.get("DESK_KEY")

def build():
    return Agent(name="desk", instructions=f"Held: {HELD}. {KEY}")
"""
FETCHING = """
import os
from agents import Agent
from aws_lambda_powertools.utilities.parameters import get_secret

def build():
    assert get_secret(os.environ["OPENAI_SECRET_ARN"]) == "sesame"
    return Agent(name="desk")
"""
SERVED = """
from agents import Agent
from agents.mcp import MCPServerStreamableHttp

def build():
    server = MCPServerStreamableHttp(params={"url": "http://127.0.0.1:1/mcp"}, name="tools")
    return Agent(name="served", mcp_servers=[server])
"""
ROUTES = """
from parley.http import Caller, Router

router = Router()

@router.get("/notes")
def list_notes(user: Caller) -> list[str]:
    from own_desk import later  # at its first request
    return [user.user_id]
"""
Project = Callable[..., None]


@pytest.fixture
def project(tmp_path: Path, surroundings: pytest.MonkeyPatch) -> Project:
    """Makes a project of some modules, which the functions find in the place of Parley's own."""

    def make(agents: dict[str, str], environment: str = "()", **modules: str) -> None:
        folder = tmp_path / "project"
        (folder / "own_desk").mkdir(parents=True)
        (folder / "own_desk" / "__init__.py").write_text("")
        for name, text in modules.items():
            (folder / "own_desk" / f"{name}.py").write_text(text)
        offers = {name: f"own_desk.{module}:build" for name, module in agents.items()}
        routes = ("own_desk.routes",) if "routes" in modules else ()
        (folder / f"{MODULE}.py").write_text(
            "from parley.manifest import Manifest, Offer, Variable\n"
            f"offers = {{name: Offer(name, target) for name, target in {offers!r}.items()}}\n"
            f"MANIFEST = Manifest(offers, {next(iter(agents))!r}, routes={routes!r},"
            f" environment={environment})\n"
        )
        surroundings.syspath_prepend(str(folder))

    return make


def test_agents_are_imported_and_built_before_and_what_connects_to_a_server_of_tools(
    project: Project,
) -> None:
    project({"desk": "agent", "served": "served"}, agent=AGENT, served=SERVED)

    found = copies(
        "messages",
        ("POST", "/messages", SAID),
        ("POST", "/messages", {**SAID, "agent": "served"}),
    )

    assert found.frozen["connected"] == []  # a server of tools is for a run to connect to
    desk, served = found.each
    assert (desk["status"], desk["imported"], desk["made"]) == (201, [], {})
    assert (served["status"], served["imported"]) == (502, [])  # nobody listens there


FAILURES = ("RuntimeError('no desk')", "SystemExit(3)", "KeyboardInterrupt")


def test_agents_that_fail_are_told_of_and_the_others_answer(project: Project) -> None:
    broken = {f"broken{number}": f"raise {kind}\n" for number, kind in enumerate(FAILURES)}
    project({"desk": "agent", **{name: name for name in broken}}, agent=AGENT, **broken)

    found = copies("messages", ("POST", "/messages", SAID))

    assert [each["status"] for each in found.each] == [201]
    lines = [line for line in found.log.splitlines() if "priming failed" in line]
    for name, line in zip(broken, lines, strict=True):
        assert '"level":"ERROR"' in line
        assert f'"step":"the agent {name}"' in line
        assert f"own_desk/{name}.py" in line


@pytest.mark.parametrize(
    "kept",
    [
        "parameter",
        pytest.param(
            "secret", marks=pytest.mark.at_length("Parley's own in test_first_requests.py")
        ),
    ],
)
def test_agents_that_read_secrets_are_built_after_it_and_no_secret_is_in_a_snapshot(
    project: Project, account: Account, surroundings: pytest.MonkeyPatch, kept: str
) -> None:
    project({"desk": "agent"}, '(Variable("DESK_KEY", secret=True),)', agent=AGENT)
    surroundings.setenv("DESK_KEY_SECRET_ARN", getattr(account, kept)("sesame"))

    found = copies("messages", ("POST", "/messages", SAID))

    assert found.frozen["connected"] == []
    assert "sesame" not in found.frozen["environment"]
    (copy,) = found.each
    assert copy["status"] == 201
    assert copy["imported"] == ["own_desk", "own_desk.agent"]  # and nothing to fetch it with
    assert copy["made"].keys() <= {"validators"}


def test_secrets_that_agents_fetch_themselves_are_not_what_stood_in_for_them(
    project: Project, account: Account, surroundings: pytest.MonkeyPatch
) -> None:
    project({"desk": "agent"}, agent=FETCHING)
    surroundings.setenv("OPENAI_SECRET_ARN", account.secret("sesame"))
    surroundings.delenv("OPENAI_API_KEY")
    surroundings.setenv("POWERTOOLS_PARAMETERS_MAX_AGE", "3600")

    found = copies("messages", ("POST", "/messages", SAID))

    assert "priming failed" not in found.log
    assert [each["status"] for each in found.each] == [201]


def test_routes_of_a_projects_own_have_their_validation_built(project: Project) -> None:
    project({"desk": "agent"}, agent=AGENT, routes=ROUTES, later="")

    (copy,) = copies("sessions", ("GET", "/notes", None)).each

    assert (copy["status"], copy["made"]) == (200, {})
    assert copy["imported"] == ["own_desk.later"]  # nobody calls them before
