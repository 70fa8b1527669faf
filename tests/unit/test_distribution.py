"""What is installed: its data, its version, and what each extra asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from parley_backend import backend

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WHEEL = DOCUMENT["tool"]["hatch"]["build"]["targets"]["wheel"]


def test_the_data_of_a_checkout_is_the_top_level() -> None:
    assert backend() == ROOT
    assert backend("template.yaml").is_file()


def test_every_file_that_the_template_names_is_in_the_wheel() -> None:
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    named = re.findall(r"(?:CodeUri|ContentUri|Location): ([\w./-]+)", text)
    included = [Path(each) for each in WHEEL["force-include"]]

    assert named
    for each in map(Path, named):
        assert any(each.is_relative_to(one) or one.is_relative_to(each) for one in included), each


def test_the_data_is_in_the_wheel_under_the_names_of_the_checkout() -> None:
    for source, target in WHEEL["force-include"].items():
        assert (ROOT / source).exists()
        assert target == f"parley_backend/{source}"


def test_nothing_that_is_installed_looks_for_files_beside_a_checkout() -> None:
    # A file beside a module is in its package; one folders above may be there in a checkout only.
    above = re.compile(r"__file__\)(\.resolve\(\))?\.parent(s|\.parent)")
    files = [file for package in WHEEL["packages"] for file in (ROOT / package).rglob("*.py")]
    found = [file for file in files if above.search(file.read_text(encoding="utf-8"))]

    assert files
    assert found == []


def test_what_is_installed_knows_no_task() -> None:
    # They are an example's, whose files are data. What asyncio calls a task is none.
    of_tasks = re.compile(
        r"\b(FROM|INTO|UPDATE|TABLE|JOIN) tasks\b|/tasks\b|\btask_id\b|TaskRow|TaskList"
        r"|\b(list|find|change|complete|delete|read)_tasks?\b|parley tasks\b"
    )
    files = [file for package in WHEEL["packages"] for file in (ROOT / package).rglob("*.*")]
    texts = {file: file.read_text() for file in files if file.suffix in (".py", ".sql", ".json")}

    assert len(texts) > 200
    assert [file for file, text in texts.items() if of_tasks.search(text)] == []
    (document,) = (text for file, text in texts.items() if file.name == "openapi.json")
    assert "task" not in document.lower()


def test_a_groups_requirements_are_those_of_the_distribution() -> None:
    # uv takes a function's packages from a group, and pip knows extras only.
    extras = DOCUMENT["project"]["optional-dependencies"]
    asked = {*DOCUMENT["project"]["dependencies"], *extras["dev"]}

    for name in ("agents", "authorizer", "migrate"):
        assert set(DOCUMENT["dependency-groups"][name]) <= asked


def test_the_client_asks_for_httpx_and_pydantic_only() -> None:
    client = tomllib.loads((ROOT / "cli" / "pyproject.toml").read_text(encoding="utf-8"))
    extras = DOCUMENT["project"]["optional-dependencies"]
    asked = {*DOCUMENT["project"]["dependencies"], *extras["dev"]}

    assert [re.split(r"\W", each)[0] for each in client["project"]["dependencies"]] == [
        "httpx", "pydantic"
    ]  # fmt: skip
    assert set(client["project"]["dependencies"]) <= asked


def test_both_distributions_take_their_version_from_one_file() -> None:
    client = tomllib.loads((ROOT / "cli" / "pyproject.toml").read_text(encoding="utf-8"))
    version = (ROOT / DOCUMENT["tool"]["hatch"]["version"]["path"]).resolve()

    assert (ROOT / "cli" / client["tool"]["hatch"]["version"]["path"]).resolve() == version
    assert "version" not in DOCUMENT["project"]
    assert "version" not in client["project"]
