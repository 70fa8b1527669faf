"""What is wrong with a project's agents: said by `parley check`, and by all that would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from parley_testing.waiting import HANG_SECONDS

AGENTS = """
import os
from agents import Agent, ApplyPatchTool, function_tool, handoff

@function_tool
def price(what: str) -> str:
    "Tell a price."
    return "3 EUR"

def good():
    return Agent(name="good", tools=[price])

right = Agent(name="right")
text = "not an agent"

def nothing():
    pass

async def later():
    return right

def asks(why):
    return right

def raises():
    return {}["gone"]

def twice():
    return Agent(name="twice", handoffs=[Agent(name="other", tools=[price, price])])

def twice_handed():
    return Agent(name="handed", handoffs=[right, handoff(right)])

def unrecorded():
    return Agent(name="patches", tools=[ApplyPatchTool(editor=None)])

def leaves():
    os._exit(3)

def connected():
    from agents.mcp import MCPServerStdio, MCPServerStreamableHttp
    inner = Agent(name="clerk", mcp_servers=[MCPServerStdio({"command": "shelf"}, name="shelf")])
    return Agent(
        name="connected",
        tools=[inner.as_tool("clerk", "Asks.")],
        mcp_servers=[
            MCPServerStreamableHttp({"url": "https://me:pw@mcp.example/a?key=s"}, name="calendar"),
            MCPServerStreamableHttp({"url": "https://me:pw@mcp.example/b?key=s"}),
        ],
    )
"""
WRONG = {
    "text": "The agent's build() returned str; it must return an Agent.",
    "nothing": "The agent's build() returned nothing; it must return an Agent.",
    "later": "The agent's build() is an async function; it must be an ordinary one",
    "asks": "TypeError: asks() missing 1 required positional argument: 'why'",
    "raises": "shop/good.py:26 raises: KeyError: 'gone'",
    "twice": "The agent other has 2 tools of the name price.",
    "twice_handed": "The agent handed has 2 tools of the name transfer_to_right.",
    "unrecorded": "The agent patches has the tool apply_patch, of a kind that is not supported",
    "rihgt": "shop.good has no rihgt; did you mean right?",
}


def begun(root: Path) -> Path:
    """Write the code of a project's agents."""
    (root / "shop").mkdir()
    (root / "shop" / "good.py").write_text(AGENTS)
    (root / "shop" / "imports.py").write_text("import numpyy\n")
    (root / "shop" / "typo.py").write_text("def build(:\n")
    (root / "shop" / "fails.py").write_text("1 / 0\n")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return begun(tmp_path)


@dataclass(frozen=True)
class Checked:
    """A project, and what `parley check` has said of it: starting that costs more than any look."""

    root: Path
    done: subprocess.CompletedProcess[str]


def offer(root: Path, **targets: str) -> None:
    lines = ["[tool.parley]", f'default = "{next(iter(targets))}"']
    for name, target in targets.items():
        lines += [f"[tool.parley.agents.{name}]", 'description = "Of a test."']
        lines += [f'target = "{target}"']
    (root / "pyproject.toml").write_text("\n".join(lines) + "\n")


def parley(root: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    hidden = ("OPENAI", "LOG_", "POWERTOOLS", "SHOP_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return subprocess.run(
        [sys.executable, "-m", "parley_cli.start", *arguments],
        cwd=root,
        env=environ | variables,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )


def test_what_is_allowed_and_hardly_meant_is_warned_of(root: Path) -> None:
    offer(root, asked="shop.good:good", brought="shop.brought:build", mixed="shop.brought:mixed")
    written = (root / "pyproject.toml").read_text()
    said = 'base_url = "https://me:pw@models.example/v1"\nkey = "SHOP_KEY"'
    for name in ("good:good", "brought:build", "brought:mixed"):
        written = written.replace(f'"shop.{name}"', f'"shop.{name}"\n{said}')
    variables = "[tool.parley.environment]\nSHOP_KEY = { secret = true }\nSHOP_URL = {}\n"
    (root / "pyproject.toml").write_text(written + variables)
    (root / "shop" / "brought.py").write_text(
        "from agents import Agent, OpenAIResponsesModel\nfrom openai import AsyncOpenAI\n"
        "model = OpenAIResponsesModel('m', AsyncOpenAI(api_key='none'))\n"
        "def build(): return Agent(name='poet', model=model)\n"
        "def mixed(): return Agent(name='first', handoffs=[build()])\n"
    )

    done = parley(root, "check", SHOP_URL="https://shop.example")

    assert done.returncode == 0, done.stderr
    place = "Warning: pyproject.toml: [tool.parley.agents."
    told = done.stderr.splitlines()
    for name in ("asked", "brought", "mixed"):
        assert any(line.startswith(f"{place}{name}] base_url: has a password") for line in told)
    assert f"{place}brought] base_url, key: not used, since the agent brings its model itself" in (
        told
    )
    (missing,) = (line for line in told if "SHOP" in line)
    assert missing.startswith(
        "Warning: SHOP_KEY is not set, and [tool.parley.environment] requires"
    )
    assert len(told) == 5
    assert ":pw@" not in done.stderr


def test_an_agent_is_built_with_the_variables_that_parley_dev_gives_it(root: Path) -> None:
    offer(root, reads="shop.reads:build")
    with (root / "pyproject.toml").open("a") as file:
        file.write("[tool.parley.environment]\nSHOP_URL = {}\n")
    (root / "shop" / "reads.py").write_text(
        "import os\nfrom agents import Agent\nassert 'SHOP_OTHER' not in os.environ\n"
        "def build(): return Agent(name=os.environ['SHOP_URL'])\n"
    )

    missing = parley(root, "check")
    (root / ".env").write_text("SHOP_URL=http://shop.example\n")
    written = parley(root, "check", SHOP_OTHER="not listed")

    assert missing.returncode == 1
    assert "KeyError: 'SHOP_URL'" in missing.stderr
    assert (written.returncode, written.stderr) == (0, "")


@pytest.mark.parametrize("command", ["dev", "test"])
def test_nothing_starts_with_an_agent_that_cannot_be_built(root: Path, command: str) -> None:
    offer(root, good="shop.good:good", imports="shop.imports:build")

    done = parley(root, command, *(["--port", "0"] if command == "dev" else []))

    assert (done.returncode, done.stdout) == (1, "")
    assert "pyproject.toml: [tool.parley.agents.imports] target: " in done.stderr
    assert f'File "{root}/shop/imports.py", line 1' in done.stderr
    assert "answers at" not in done.stderr


def test_what_a_project_requires_and_nobody_sets_stops_the_start(root: Path) -> None:
    offer(root, good="shop.good:good")
    with (root / "pyproject.toml").open("a") as file:
        file.write("[tool.parley.environment]\nSHOP_KEY = { secret = true }\n")

    done = parley(root, "dev", "--port", "0")

    assert done.returncode == 1
    assert "SHOP_KEY is not set" in done.stderr
    assert str(root / ".env") in done.stderr


def test_a_projects_tests_find_its_code_and_its_manifest(root: Path) -> None:
    offer(root, good="shop.good:good")
    (root / "tests").mkdir()
    (root / "tests" / "test_good.py").write_text(
        "from parley.manifest import manifest\nfrom shop.good import good\n"
        "def test_it(): assert list(manifest().agents) == [good().name]\n"
        "def test_left_out(): assert False\n"
        "def test_other(): assert False\n"
    )

    some = ("-k", "not left_out", "-p", "no:cacheprovider", "-p", "no:schemathesis")
    done = parley(root / "tests", "test", "test_good.py", "-q", *some)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed, 1 deselected" in done.stdout


TABLES = """
from alembic import op
revision, down_revision = "one", None
def upgrade():
    op.execute("CREATE TABLE bookings (id int PRIMARY KEY, user_id text)")
    op.execute("CREATE TABLE diary (id int PRIMARY KEY, user_id text)")
"""


def keep(root: Path, code: str) -> None:
    """Let the project have tables, and say in a module what it keeps of users."""
    (root / "migrations").mkdir()
    (root / "migrations" / "one.py").write_text(TABLES)
    (root / "kept.py").write_text(code)
    file = root / "pyproject.toml"
    added = '[tool.parley]\nmigrations = "migrations"\nuser_data = "kept:tables"\n'
    file.write_text(added + file.read_text().replace("[tool.parley]\n", ""))


def test_tables_that_erasing_a_user_would_leave_are_warned_of(root: Path) -> None:
    offer(root, right="shop.good:right")
    keep(root, "from parley import UserTable\ntables = [UserTable('bookings')]\n")

    checked = parley(root, "check")

    assert (checked.returncode, checked.stdout.splitlines()[0].split()[0]) == (0, "right")
    (warning,) = [line for line in checked.stderr.splitlines() if "Warning" in line]
    assert warning.startswith("Warning: diary: erasing a user would leave its rows.")


ROUTES = """
from parley.http import Router
router = Router()
@router.get("/prices")
def list_prices() -> dict[str, int]:
    return {}
"""
ROUTE_FAULTS = {
    "taken": (
        ROUTES.replace("/prices", "/sessions"),
        "shop/taken.py:4 list_prices: GET /sessions: ",
    ),
    "misnamed": (
        ROUTES.replace("router", "rooter"),
        "shop.misnamed has no router; did you mean rooter?",
    ),
    "unfound": ("import numpyy\n", "shop/unfound.py:1 <module>: ModuleNotFoundError"),
    # The last: of what is imported behind it nobody could tell.
    "heavy": ("import agents\n" + ROUTES, "imports the Agents SDK"),
}
OFFLINE_FAULTS = {
    "misspelt": ("def anser(asked): ...\n", "shop.misspelt has no answer; did you mean anser?"),
    "figure": ("answer = 3\n", "shop.figure:answer is not a function"),
    "unknown": ("import numpyy\n", "shop/unknown.py:1 <module>: ModuleNotFoundError"),
}
COMMAND_FAULTS = {
    "slip": ("ap = 3\n", "commands.slip] target: shop.slip has no app; did you mean ap?"),
    "number": ("app = 3\n", "commands.number] target: shop.number:app is of type int"),
}


def add(root: Path, *lines: str, **modules: str) -> None:
    """Add keys to `[tool.parley]`, and modules to the project's package."""
    file = root / "pyproject.toml"
    file.write_text("\n".join(["[tool.parley]", *lines]) + file.read_text()[13:])
    for name, code in modules.items():
        (root / "shop" / f"{name}.py").write_text(code)


def add_commands(root: Path, *names: str) -> None:
    with (root / "pyproject.toml").open("a") as file:
        for name in names:
            file.write(f'[tool.parley.commands.{name}]\ntarget = "shop.{name}:app"\n')
            file.write('description = "Of a test."\n')


def faults_of(key: str, said: str) -> list[str]:
    """Return what a check has said of a key, each without its place."""
    place = f"pyproject.toml: [tool.parley] {key}: "
    return [line.removeprefix(place) for line in said.splitlines() if line.startswith(place)]


def check_of_user_data(root: Path, code: str, said: str) -> str:
    keep(root, code)

    checked = parley(root, "check")

    assert checked.returncode == 1
    assert said in checked.stderr
    return checked.stderr


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """A project in which nothing is wrong, checked in a folder below it."""
    root = begun(tmp_path_factory.mktemp("right"))
    offer(root, good="shop.good:good", right="shop.good:right", connected="shop.good:connected")
    add(
        root,
        'routes = ["shop.routes"]',
        'offline = "shop.rules:answer"',
        routes=ROUTES,
        rules="def answer(asked): ...\n",
        prices="def app(): ...\n",
    )
    add_commands(root, "prices")
    return Checked(root, parley(root / "shop", "check"))


def test_agents_that_can_be_built_are_listed(right: Checked) -> None:
    assert right.done.returncode == 0, right.done.stderr
    assert [line for line in right.done.stdout.splitlines() if not line.startswith(" ")] == [
        "good can be built, and is the default",
        "right can be built",
        "connected can be built",
    ]
    # Nothing is left beside the code, nor written into the project.
    assert sorted(each.name for each in right.root.iterdir()) == ["pyproject.toml", "shop"]


def test_the_mcp_servers_of_agents_are_listed_without_what_may_be_secret(right: Checked) -> None:
    assert right.done.stdout.split("connected can be built\n")[1].splitlines() == [
        "  connected has the MCP server calendar over streamable HTTP at https://mcp.example/a",
        "  connected has the MCP server over streamable HTTP at https://mcp.example/b",
        "  clerk has the MCP server shelf as a program",
    ]


def test_routes_commands_and_rules_that_are_right_are_not_told_of(right: Checked) -> None:
    assert (right.done.returncode, right.done.stderr) == (0, "")


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """A project in which all that is named is wrong, but for one agent."""
    root = begun(tmp_path_factory.mktemp("wrong"))
    targets = {name: f"shop.good:{name}" for name in WRONG}
    offer(root, good="shop.good:good", **targets, missing="shop.nowhere:build",
          imports="shop.imports:build", typo="shop.typo:build",
          one="shop.fails:one", other="shop.fails:other")  # fmt: skip
    faults = {**ROUTE_FAULTS, **OFFLINE_FAULTS, **COMMAND_FAULTS}
    routes = ", ".join(f'"shop.{name}"' for name in ROUTE_FAULTS)
    rules = ", ".join(f'"shop.{name}:answer"' for name in OFFLINE_FAULTS)
    modules = {name: code for name, (code, _) in faults.items()}
    add(root, f"routes = [{routes}]", f"offline = [{rules}]", **modules)
    add_commands(root, *COMMAND_FAULTS)
    keep(root, "tabels = []\n")
    return Checked(root, parley(root, "check"))


def test_each_agent_that_cannot_be_built_is_told_of_in_a_sentence(wrong: Checked) -> None:
    root, done = wrong.root, wrong.done
    assert (done.returncode, done.stdout) == (1, "")
    said = [
        line
        for line in done.stderr.splitlines()
        if line.startswith("pyproject.toml: [tool.parley.ag")
    ]
    for name, fault in WRONG.items():
        (line,) = [each for each in said if f".{name}] " in each]
        assert line.startswith(f"pyproject.toml: [tool.parley.agents.{name}] target: "), line
        assert fault in line
    assert "agents.missing] target: there is no module shop.nowhere" in done.stderr
    assert (
        "shop/imports.py:1 <module>: ModuleNotFoundError: No module named 'numpyy'" in done.stderr
    )
    assert "shop/typo.py:1: SyntaxError: invalid syntax" in done.stderr
    assert len(said) == len(WRONG) + 5
    # Below those that raise stands where, from the project's own code on.
    assert f'    Traceback (most recent call last):\n      File "{root}/shop/imports.py"' in (
        done.stderr
    )
    assert "importlib" not in done.stderr


def test_what_fails_in_a_module_is_told_whole_once(wrong: Checked) -> None:
    assert wrong.done.stderr.count(f'File "{wrong.root}/shop/fails.py"') == 1
    assert wrong.done.stderr.count("ZeroDivisionError: division by zero") == 2
    assert wrong.done.stderr.splitlines()[-1] == (
        "pyproject.toml: [tool.parley.agents.other] target: as [tool.parley.agents.one] target"
    )


def test_all_that_is_wrong_with_routes_and_tables_is_told_of(wrong: Checked) -> None:
    found = faults_of("routes", wrong.done.stderr)
    assert len(found) == len(ROUTE_FAULTS)
    for (name, (_, fault)), sentence in zip(ROUTE_FAULTS.items(), found, strict=True):
        assert sentence.startswith(f"shop.{name}: ")
        assert fault in sentence
    assert faults_of("user_data", wrong.done.stderr) == ["kept has no tables; did you mean tabels?"]


def test_all_that_is_wrong_with_rules_for_the_offline_model_is_told_of(wrong: Checked) -> None:
    found = faults_of("offline", wrong.done.stderr)
    assert len(found) == len(OFFLINE_FAULTS)
    for (_, fault), sentence in zip(OFFLINE_FAULTS.values(), found, strict=True):
        assert fault in sentence


def test_all_that_is_wrong_with_commands_is_told_of(wrong: Checked) -> None:
    found = [line for line in wrong.done.stderr.splitlines() if "commands." in line]
    for (_, fault), sentence in zip(COMMAND_FAULTS.values(), found, strict=True):
        assert fault in sentence


def test_an_agent_whose_module_ends_the_process_is_named_with_what_was_found_before(
    root: Path,
) -> None:
    offer(root, good="shop.good:good", leaves="shop.good:leaves")

    said = check_of_user_data(root, "tables = [3]\n", "] user_data: kept:tables has int in it")

    assert "[tool.parley.agents.leaves] target: it ended the process: exit status 3" in said


def test_routes_that_end_the_process_and_tables_that_raise_are_told_of(root: Path) -> None:
    offer(root, right="shop.good:right")
    add(root, 'routes = ["shop.routes"]', routes="import os\nos._exit(3)\n")

    said = check_of_user_data(root, "1 / 0\n", "kept.py:1")

    assert faults_of("routes", said) == ["shop.routes: it ended the process: exit status 3"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import agents\ntables = []\n", "imports the Agents SDK"),
        (
            "from parley import UserTable\ntables = [UserTable('nothing')]\n",
            "user_data names the table nothing, which is not there",
        ),
    ],
)
def test_what_is_said_wrongly_of_tables_is_a_fault(root: Path, code: str, said: str) -> None:
    offer(root, right="shop.good:right")

    check_of_user_data(root, code, said)
