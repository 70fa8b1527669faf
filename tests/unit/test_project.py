"""What is said of a project's `[tool.parley]`, and what its functions are given of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from parley.manifest import Manifest, Offer, Variable
from parley_local.code_copy import copied
from parley_project.environment import local_values, read_dotenv
from parley_project.faults import ProjectFaults
from parley_project.generated import python_path, write_manifest
from parley_project.project import Project, find_project, read_project

AGENT = '[tool.parley.agents]\ndesk = { target = "shop.agents:desk", description = "Helps." }\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "agents.py").write_text("def desk(): ...\n")
    return tmp_path


def read(text: str) -> Project:
    Path("pyproject.toml").write_text(text)
    return read_project(Path("pyproject.toml"))


def faults(text: str) -> list[str]:
    with pytest.raises(ProjectFaults) as raised:
        read(text)
    return list(raised.value.sentences)


def test_a_project_with_one_agent_needs_one_line(folder: Path) -> None:
    project = read(AGENT)

    assert project.manifest == Manifest({"desk": Offer("Helps.", "shop.agents:desk")}, "desk")
    assert (project.source, project.packages) == (folder, (folder / "shop",))


def test_a_package_below_src_is_found_there(folder: Path) -> None:
    (folder / "src").mkdir()
    (folder / "shop").rename(folder / "src" / "shop")

    assert read(AGENT).packages == (folder / "src" / "shop",)


def test_packages_may_be_in_several_folders(folder: Path) -> None:
    (folder / "more" / "mail").mkdir(parents=True)
    (folder / "more" / "mail" / "agents.py").write_text("def mail(): ...\n")
    mail = 'mail = { target = "mail.agents:mail", description = "Mails." }\n'

    project = read(f'[tool.parley]\ndefault = "desk"\nsource = [".", "more"]\n{AGENT}{mail}')

    assert project.packages == (folder / "shop", folder / "more" / "mail")
    copy = copied(project, folder / "copy")
    assert copy.packages == (folder / "copy" / "shop", folder / "copy" / "mail")
    for each, path in ((project, [folder, folder / "more"]), (copy, [folder / "copy"])):
        made = python_path(each, folder / "made").split(os.pathsep)
        assert made == [str(folder / "made"), *map(str, path)]


def test_the_project_is_found_from_a_folder_below_it(folder: Path) -> None:
    read(AGENT)
    inner = folder / "shop" / "pyproject.toml"
    inner.write_text("[project]\nname = 'inner'\n")

    assert find_project(inner.parent) == folder / "pyproject.toml"


@pytest.mark.parametrize(
    ("text", "place", "fault"),
    [
        (AGENT + AGENT, "it is no TOML", "twice"),
        (AGENT + 'desk = { target = "a:b" }\n', "it is no TOML", "line 3"),
        ("[tool.parley]\nagents = 3\n", "[tool.parley] agents", "must be a table"),
        ("[tool.parley]\n", "[tool.parley] agents", "names no agent"),
        (AGENT.replace("shop.agents:desk", "shop/agents.py:desk"), "agents.desk] target", "must"),
        (AGENT.replace("shop.agents:desk", "shop.agents"), "agents.desk] target", "must be"),
        (AGENT.replace("shop.", "store."), "[tool.parley] agents.desk", "no such module"),
        (AGENT.replace("shop.agents", "calendar"), "[tool.parley] agents.desk", "Python's own"),
        (AGENT.replace("target", "tarjet"), "agents.desk] target", "is missing"),
        (AGENT.replace("target", "tarjet"), "agents.desk] tarjet", "did you mean target?"),
        (AGENT.replace("description", "desc"), "agents.desk] description", "is missing"),
        (AGENT.replace('"Helps."', "3"), "agents.desk] description", "not a number"),
        (AGENT.replace("desk =", '"my desk" ='), "[tool.parley.agents] my desk", "letters"),
        (AGENT.replace("desk =", "desk = 'a:b' #"), "[tool.parley.agents] desk", "such as"),
        (AGENT + AGENT.splitlines()[1].replace("desk", "two", 1), "] default", "desk, two"),
        ("[tool.parley]\ndefault = 'x'\n" + AGENT, "[tool.parley] default", "'x' is not one"),
        ("[tool.parley]\nmigrations = 'm'\n" + AGENT, "] migrations", "there is no folder m"),
        ("[tool.parley]\nmigrations = '..'\n" + AGENT, "] migrations", "outside"),
        ("[tool.parley]\ntemplate = 't.yaml'\n" + AGENT, "] template", "there is no file t.yaml"),
        ("[tool.parley]\nrouts = []\n" + AGENT, "[tool.parley] routs", "did you mean routes?"),
        ("[tool.parley]\nroutes = 'a'\n" + AGENT, "[tool.parley] routes", "list of texts"),
        (AGENT.replace(" }", ', api = "x" }'), "agents.desk] api", "responses or chat_completions"),
        (AGENT.replace(" }", ', memory_summary = "yes" }'), "desk] memory_summary", "off or on"),
        (AGENT.replace(" }", ", memory_summary = true }"), "desk] memory_summary", "in quotes"),
        (AGENT.replace(" }", ', base_url = "x" }'), "agents.desk] base_url", "http://"),
        (AGENT.replace(" }", ', key = "K_1" }'), "agents.desk.key", "tool.parley.environment"),
        (AGENT.replace(" }", ', key = "sk-SECRET" }'), "agents.desk.key", "name of a variable"),
        (AGENT + "[tool.parley.environment]\nA-B = {}\n", "environment] A-B", "letters"),
        (AGENT + "[tool.parley.environment]\nAWS_X = {}\n", "environment] AWS_X", "is taken"),
        (AGENT + "[tool.parley.environment]\nX_SECRET_ARN = {}\n", "X_SECRET_ARN", "ends in"),
        (AGENT + "[tool.parley.environment]\nA_B = {}\nAB = {}\n", "environment] AB", "case"),
        (AGENT + "[tool.parley.environment]\nDATABASE_URL = {}\n", "DATABASE_URL", "Parley's own"),
        (
            AGENT + "[tool.parley.environment]\nK_1 = { secret = true, default = 'x' }\n",
            "environment.K_1] default",
            "a secret has none",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_file_and_key(text: str, place: str, fault: str) -> None:
    (said, *_) = [each for each in faults(text) if place in each and fault in each] or [""]

    assert said.startswith("pyproject.toml: "), faults(text)


def test_a_package_that_would_hide_the_sdk_is_refused(folder: Path) -> None:
    (folder / "shop").rename(folder / "agents")

    (said,) = faults(AGENT.replace("shop.", "agents."))
    assert "the Agents SDK" in said


def test_the_module_holds_the_manifest_and_imports_nothing_of_the_project(folder: Path) -> None:
    (folder / "shop" / "agents.py").write_text("raise SystemExit('imported')\n")
    project = read(AGENT + "[tool.parley.environment]\nK_1 = { secret = true }\n")
    code = (
        "import sys; from parley.manifest import manifest; print(repr(manifest()));"
        " import parley.http.sessions, parley.http.open; from parley import TurnContext;"
        " print({'agents', 'shop', 'tomllib'} & set(sys.modules))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": python_path(project, folder / "made")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert printed.splitlines() == [repr(project.manifest), "set()"]


def test_a_changed_manifest_is_not_taken_from_stale_byte_code(folder: Path) -> None:
    told = []
    for name in ("one", "two"):
        write_manifest(Manifest({name: Offer("x", "a:b")}, name), folder)
        command = [sys.executable, "-c", "from parley_manifest import *; print(MANIFEST.default)"]
        told.append(subprocess.check_output(command, env={"PYTHONPATH": str(folder)}, text=True))

    assert told == ["one\n", "two\n"]


def test_the_shell_goes_before_the_file_and_the_file_before_the_default(folder: Path) -> None:
    (folder / ".env").write_text("A_1=file\nB_1='f#le' # a comment\n# A_1=x\nexport C_1=c # d\n")
    variables = (
        *(Variable(name) for name in ("A_1", "B_1", "C_1")),
        Variable("D_1", required=False, default="default"),
        Variable("E_1", required=False),
    )

    found = local_values(variables, folder, {"A_1": "shell", "OTHER": "x"})

    assert found == {"A_1": "shell", "B_1": "f#le", "C_1": "c", "D_1": "default"}


def test_a_missing_variable_is_named(folder: Path) -> None:
    with pytest.raises(ProjectFaults, match=r"LETTERS_URL is not set.*\.env"):
        local_values((Variable("LETTERS_URL"),), folder, {})


@pytest.mark.parametrize(
    ("text", "number"),
    [("A_1=x\nsecret value\n", 2), ("A_1=x\n\n\nsecret value\n", 4), ("\nsecret\n", 2)],
)
def test_a_line_that_cannot_be_read_is_named_by_its_number_and_not_quoted(
    folder: Path, text: str, number: int
) -> None:
    (folder / ".env").write_text(text)

    with pytest.raises(ProjectFaults) as raised:
        read_dotenv(folder / ".env")
    assert f".env:{number}: must be NAME=value" in str(raised.value)
    assert "secret" not in str(raised.value)
