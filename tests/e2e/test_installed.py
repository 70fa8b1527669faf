"""Parley from a wheel: projects of this version and of those before; one that has everything."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from parley_local.cloudformation import load
from parley_local.data_directory import read_address
from parley_local.issuer import AUDIENCE, ISSUER, issue_token
from parley_local.postgres import EmbeddedPostgres
from parley_testing.account.moto import Account
from parley_testing.api.handlers import rest_event
from parley_testing.api.pages import Pages
from parley_testing.models.server import Called, ModelServer, Said, in_order
from parley_testing.packaged.deployment import Deployment
from parley_testing.packaged.installed import Installed, copy_project, install
from parley_testing.packaged.own_project import add_agent, outgrow
from parley_testing.packaged.packages import LARGE, Packages, unpack
from parley_testing.packaged.probe import probe
from parley_testing.postgres.databases import connect
from parley_testing.run.at_length import AT_LENGTH
from parley_testing.some_places import at_some_places
from parley_testing.waiting import HANG_SECONDS, wait_for

ROOT = Path(__file__).parents[2]
OLDER = Path(__file__).parent / "projects"
NEW = "of this version"
KEY = "sk-of-the-shop"
# Two builds are compared without the layers of libraries, of which each function's own are enough,
# and without functions that are Parley's code alone, as that which serves the API is.
NOT_COMPARED = () if AT_LENGTH else (*LARGE, "Cleanup", "Messages", "Stream", "Worker")


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A folder that is not pytest's: each run closes those to others, as whom Postgres may run."""
    with TemporaryDirectory(prefix="parley-installed-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def installed(made: Path) -> Installed:
    """The wheel in a fresh environment."""
    return install(made)


@pytest.fixture(scope="module")
def new(installed: Installed) -> str:
    """A project that `parley init` has made."""
    done = installed.run("parley", "init", "my-desk")

    assert done.returncode == 0, done.stderr
    assert done.stderr == "Next: cd my-desk && parley dev\n"
    assert "my-desk/my_desk/agent.py" in done.stdout.splitlines()
    return "my-desk"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            NEW,
            marks=pytest.mark.at_length(
                "below it is tested, and packaged; that of the version before is served here"
            ),
        ),
        *sorted(each.name for each in OLDER.iterdir()),
    ],
)
def project(request: pytest.FixtureRequest, installed: Installed) -> str:
    """A project that `parley init` has made: of this version, or of one before."""
    if request.param == NEW:
        made_now: str = request.getfixturevalue("new")
        return made_now
    copy_project(OLDER / request.param, installed.folder / request.param)
    return str(request.param)


def test_nothing_is_found_beside_a_checkout(installed: Installed) -> None:
    code = (
        "import parley, parley_backend, parley_cli, parley_client, parley_local, parley_project;"
        "from parley_backend import backend;"
        "print(parley.__file__, parley_cli.__file__, parley_local.__file__, backend(), sep='\\n')"
    )

    places = installed.run("python", "-c", code).stdout.splitlines()

    assert len(places) == 4
    assert all(Path(each).is_relative_to(installed.bin.parent) for each in places), places


def test_it_is_checked_served_and_answers(installed: Installed, project: str) -> None:
    if AT_LENGTH:  # `parley dev` has its agents built too, and runs its migrations
        checked = installed.run("parley", "check", within=project)
        assert (checked.returncode, checked.stderr) == (0, "")
        assert checked.stdout == "todo can be built, and is the default\n"

    root = installed.folder / project
    with installed.served(project, root / "dev.log") as dev:
        wait_for(lambda: dev.poll() is not None or read_address(root / ".parley") is not None)
        said = (root / "dev.log").read_text()
        assert dev.poll() is None, said
        # The migration of its own table has run, and its tool writes there.
        added = installed.run(
            "parley", "message", "add buy milk", "--session", "home", within=f"{project}/tests"
        )
        listed = installed.run(
            "parley", "message", "what do I have", "--session", "home", within=project
        )
        dev.send_signal(signal.SIGINT)
        ended = dev.wait(HANG_SECONDS)

    said = (root / "dev.log").read_text()
    assert (added.stderr, added.stdout) == ("", "[offline model] Added “buy milk”.\n"), said
    assert "buy milk" in listed.stdout
    assert 'parley message "add buy milk" --session groceries\n' in said
    assert ended == 0, said


@pytest.mark.at_length("below they are run in one project, each with the agent that they are of")
def test_its_own_tests_pass(installed: Installed, project: str) -> None:
    passed = installed.run("parley", "test", "-q", within=project)

    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert re.search(r"\b[1-9]\d* passed in ", passed.stdout), passed.stdout


def agent_of(version: str) -> str:
    """What the agent of a version before is called there."""
    return f"todo_{version.replace('.', '_')}"


@pytest.fixture(scope="module")
def tested(installed: Installed, new: str) -> str:
    """What `parley test` prints of the project with more agents, each with tests of its own.

    Those are the agents of the versions before, and one whose tool is no effect tool.
    """
    root = installed.folder / "tested" / new
    copy_project(installed.folder / new, root)
    for older in OLDER.iterdir():
        add_agent(root, agent_of(older.name), older)
    agent = add_agent(root, "twice", installed.folder / new)
    agent.write_text(
        agent.read_text()
        .replace("@effect_tool\ndef add_task(effect: Effect, ", "@function_tool\ndef add_task(")
        .replace("from agents import Agent\n", "from agents import Agent, function_tool\n")
        .replace("    if len(title)", "    return title\n    if len(title)", 1)
    )
    done = installed.run(
        "parley", "test", "-q", "-rpf", "-k", "not test_twice or wherever", *at_some_places(root),
        within=str(root),
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def outcomes(printed: str, file: str) -> dict[str, str]:
    """What became of the tests of a file, by their names."""
    found = re.findall(rf"^([A-Z]+) tests/{file}\.py::(\w+)", printed, re.MULTILINE)
    return {name: became for became, name in found}


@pytest.mark.parametrize("of", [NEW, *(each.name for each in OLDER.iterdir())])
def test_tests_of_each_version_pass(of: str, installed: Installed, new: str, tested: str) -> None:
    source, file = (
        (installed.folder / new, "test_agent")
        if of == NEW
        else (OLDER / of, f"test_{agent_of(of)}")
    )
    names = re.findall(r"^def (test_\w+)", (source / "tests/test_agent.py").read_text(), re.M)

    became = outcomes(tested, file)

    assert len(names) >= 3
    assert became == dict.fromkeys(names, "PASSED"), tested


def test_they_tell_an_effect_that_happens_twice(tested: str) -> None:
    wherever = "test_a_task_is_added_once_wherever_the_process_dies"

    became = outcomes(tested, "test_twice")

    assert became == {wherever: "FAILED"}, tested
    assert "The tool add_task ran 2 times." in tested


@dataclass(frozen=True)
class Outgrown:
    """Two projects that have everything: one grew out of a version before, one of this.

    Attributes:
        older: A digest of each package of the first, by logical id.
        newer: Of the second, whose code is another.
        same_migrations: Whether at least their migrations are the same.
        build: The second's build.
        packages: Its packages.
        todo: The model server of its first agent.
        seller: Of its second.
    """

    older: dict[str, str]
    newer: dict[str, str]
    same_migrations: bool
    build: Path
    packages: Packages
    todo: ModelServer
    seller: ModelServer


def contents(build: Path) -> dict[str, str]:
    """A digest of each package of a build."""
    found = {}
    for folder in sorted(each for each in build.iterdir() if each.is_dir()):
        digest = sha256()
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes())
        found[folder.name] = digest.hexdigest()
    return found


@pytest.fixture(scope="module")
def outgrown(installed: Installed, made: Path) -> Iterator[Outgrown]:
    """Packages of such projects for this machine; the newer one has a template of its own too."""
    with TemporaryDirectory() as folder, ModelServer() as todo, ModelServer() as seller:
        roots = {name: installed.folder / name / "my-desk" for name in ("older", "newer")}
        copy_project(max(OLDER.iterdir(), key=_version), roots["older"])
        done = installed.run("parley", "init", "newer/my-desk")
        assert done.returncode == 0, done.stderr
        digests, builds = {}, Path(folder)
        whole = ("older", "newer") if AT_LENGTH else ("newer",)
        for name, root in roots.items():
            outgrow(root, made / "wheels", todo=todo.base_url, seller=seller.base_url)
            if name == "older":
                installed.add("--find-links", made / "wheels", "sortedcontainers", root / "shop")
            else:
                _own_template(installed, root)
                agent = root / "my_desk" / "seller.py"
                agent.write_text(agent.read_text().replace("for {PRICE}", "for {PRICE} pounds"))
            of, into, links = f"{name}/my-desk", builds / name, str(made / "wheels")
            if name in whole:
                done = installed.build(of, into, UV_FIND_LINKS=links)
            else:
                done = installed.build_packages(of, into, but=NOT_COMPARED, UV_FIND_LINKS=links)
            assert done.returncode == 0, done.stdout + done.stderr
            if name in whole:
                assert "Functions with their layers, unzipped" in done.stdout
            digests[name] = contents(builds / name)
        migrations = [
            {each.name: each.read_text() for each in (root / "migrations").glob("*.py")}
            for root in roots.values()
        ]
        yield Outgrown(
            digests["older"],
            digests["newer"],
            migrations[0] == migrations[1],
            builds / "newer",
            unpack(builds / "newer", builds),
            todo,
            seller,
        )


def _version(project: Path) -> tuple[int, ...]:
    return tuple(map(int, project.name.split(".")))


def _own_template(installed: Installed, root: Path) -> None:
    plain = installed.run("parley", "template").stdout
    assert plain.count("Description: Parley, a serverless backend") == 1
    (root / "template.yaml").write_text(plain.replace("Parley, a serverless", "My desk, a"))
    file = root / "pyproject.toml"
    named = '[tool.parley]\ntemplate = "template.yaml"\n'
    file.write_text(file.read_text().replace("[tool.parley]\n", named, 1))


@pytest.fixture(scope="module")
def wakeups(account: Account) -> str:
    """The URL of an empty queue."""
    return account.queue()


@pytest.fixture(scope="module")
def deployment(
    outgrown: Outgrown,
    account: Account,
    wakeups: str,
    postgres: EmbeddedPostgres,
    shared_pages: Pages,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployment]:
    """The stack of that project, migrated by its own function."""
    postgres.create_database("outgrown")
    template = load(outgrown.packages.built.template)
    memory: dict[str, Any] = template["Resources"]["MemoryTable"]
    variables = {
        "AWS_ENDPOINT_URL": account.url,
        "DATABASE_SECRET_ARN": account.secret(postgres.url("outgrown")),
        "DATABASE_RUNTIME_SECRET_ARN": account.secret(postgres.runtime_url("outgrown")),
        "OPENAI_SECRET_ARN": account.parameter("sk-of-the-deployment"),
        "SHOP_KEY_SECRET_ARN": account.secret(KEY),
        "AGENT_SESSION_TABLE": account.table(memory["Properties"]),
        "WAKE_QUEUE_URL": wakeups,
        "OIDC_ISSUER": ISSUER,
        "OIDC_AUDIENCE": AUDIENCE,
        "OIDC_JWKS_URL": f"{shared_pages.url}/keys",
    }
    logs = tmp_path_factory.mktemp("outgrown")
    with Deployment(outgrown.packages, variables, logs) as deployment:
        assert "revision" in deployment["Migrate"].invoke({"action": "migrate"}).json
        yield deployment


def event(name: str, **changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return {**found, **changed}


def test_other_code_makes_another_layer_of_its_own_and_nothing_else(outgrown: Outgrown) -> None:
    older, newer = outgrown.older, outgrown.newer

    changed = {"ProjectLayer", *(["Migrate"] if not outgrown.same_migrations else [])}
    assert {"SharedLayer", "AgentsLayer", "Sessions", *changed} <= newer.keys()
    assert older.keys() == newer.keys() - (set() if AT_LENGTH else {"Monitor", *NOT_COMPARED})
    assert {name for name in older if newer[name] != older[name]} == changed
    for name in LARGE:
        files = (outgrown.packages.built.folders[name] / "python").iterdir()
        assert not {"my_desk", "parley_manifest.py"} & {each.name for each in files}


def test_its_own_template_is_deployed(outgrown: Outgrown) -> None:
    template = load(outgrown.packages.built.template)

    assert template["Description"].startswith("My desk, a backend")
    nested = template["Resources"]["Monitor"]["Properties"]["TemplateURL"]
    assert (outgrown.build / nested).is_file()


def test_every_function_serves_it(
    deployment: Deployment,
    outgrown: Outgrown,
    postgres: EmbeddedPostgres,
    account: Account,
    wakeups: str,
    issuer: Path,
) -> None:
    sold = (Called("sell", {"title": "milk"}), Said("Sold."))
    outgrown.todo.script = in_order(Called("add_task", {"title": "buy milk"}), Said("Added."))
    outgrown.seller.script = in_order(*sold, *sold)
    hears = {"Content-Type": "application/json"}

    answer = deployment.send("POST", "/messages", {"text": "add buy milk"})
    assert (answer.status, answer.json["reply"]["content"]) == (201, "Added."), answer

    session = deployment.send("POST", "/sessions", {"agent": "seller"}).json["id"]
    stream = f"/sessions/{session}/messages/stream"
    with deployment.stream.forward(
        rest_event("POST", stream, {"text": "sell milk"}, headers=hears)
    ) as told:
        frames = list(told)
    assert frames[-1].event == "turn.completed", frames

    queued = deployment.send(
        "POST", "/sessions/{session_id}/messages", {"text": "once more"}, session=session,
        headers={**hears, "Prefer": "respond-async"},
    )  # fmt: skip
    assert queued.status == 202, queued
    (message,) = [each for each in account.messages(wakeups) if each["Body"] == session]
    wake = event("worker/wakeup")
    wake["Records"][0] |= {"body": session, "receiptHandle": message["ReceiptHandle"]}
    assert deployment["Worker"].invoke(wake).json is None

    outputs = [
        item["content"] for item in outgrown.seller.asked[-1].input if item["role"] == "tool"
    ]
    assert outputs == [f"milk for 3 pounds in Bergen to {KEY}"] * 2
    assert {asked.key for asked in outgrown.seller.asked} == {KEY}
    # A server of another's is told no key that is not for it.
    assert KEY not in {asked.key for asked in outgrown.todo.asked}
    assert "sk-of-the-deployment" not in {asked.key for asked in outgrown.todo.asked}
    with connect(postgres.url("outgrown")) as connection:
        rows = connection.execute("SELECT title FROM my_desk_tasks ORDER BY id").fetchall()
    assert rows == [("buy milk",), ("sold milk",), ("sold milk",)]

    offer = deployment.send("GET", "/offer")
    assert (offer.status, offer.json) == (200, {"price": 3, "asked_by": "alice"}), offer
    agents = deployment.send("GET", "/agents").json["items"]
    assert {each["name"] for each in agents} == {"todo", "seller"}
    exported = deployment["Sessions"].invoke(event("sessions/export-user")).answer
    assert exported.status == 200, exported
    assert "sold milk" in exported.body
    assert deployment["Cleanup"].invoke(event("cleanup/recover")).json["done"]
    token = f"Bearer {issue_token(issuer, 'alice')}"
    policy = deployment["Authorizer"].invoke(event("authorizer/token", authorizationToken=token))
    assert policy.json["principalId"] == "alice"


def test_what_runs_no_agent_starts_with_the_projects_routes_and_nothing_else_of_it(
    deployment: Deployment, outgrown: Outgrown, tmp_path: Path
) -> None:
    packages = outgrown.packages
    variables = {**packages.functions["Sessions"].variables, **deployment.variables}
    layer = packages.built.folders["AgentsLayer"] / "python"
    of_agents = {each.name.split(".")[0] for each in layer.iterdir()}

    seen = probe(packages.unpacked["Sessions"], variables, tmp_path)["modules"]

    of_no_route = {"agents", "openai", "mcp", "sortedcontainers"}
    assert of_no_route <= of_agents
    assert {
        name
        for name in seen
        if name.split(".")[0] in {*of_no_route, "my_desk", "shop", "shop_prices"}
    } == {"my_desk", "my_desk.offer", "shop", "shop_prices"}
