"""The documents say what is so: routes, settings, links, and what they and the code name."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.config import Settings
from parley_testing.api.served import own_document

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "tests/README.md"],
    key=str,
)
# Where a path in a document may start.
_ROOTS = ("", "layers/shared/python/parley", "tests", "tests/support", "docs")
# "(turn-protocol, section 2)", "turn-protocol, sections 1, 3 and 5", also over the end of a line.
_CITED = re.compile(r"\b(turn-protocol|design),[\s#]+sections?[\s#]+((?:\d+(?:,\s+|\s+and\s+)?)+)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"`([\w.-]+(?:/[\w.-]+)+/?|[\w-]+\.(?:py|toml|yaml))`")


def _read(path: str | Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def _first_column(path: str) -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \|", _read(path), re.MULTILINE))


def _anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def _tracked(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    return [path for path in found if path.suffix in (".py", ".sql")]


def _citations() -> Iterator[tuple[Path, str, str]]:
    for path in _tracked("layers/shared", "functions", "local", "cli", "tests", "packaging"):
        for name, numbers in _CITED.findall(path.read_text(encoding="utf-8")):
            for number in re.findall(r"\d+", numbers):
                yield path, name, number


def test_every_route_is_in_the_api_table() -> None:
    routes = {
        f"{method.upper()} {path}"
        for path, operations in own_document()["paths"].items()
        for method in operations
    }

    undocumented = ("/openapi.json", "/docs", "/chat", "/console", "/web/{path}")
    assert _first_column("docs/api.md") == routes | {f"GET {path}" for path in undocumented}


def test_every_setting_is_in_the_configuration_table() -> None:
    settings = {name.upper() for name in Settings.model_fields}

    assert _first_column("docs/configuration.md") == settings | {"LOG_LEVEL"}


def test_the_defaults_in_the_configuration_table_are_the_code_s() -> None:
    table = _read("docs/configuration.md")
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([\w-]+)`? \|", table, re.MULTILINE))
    fields = {name.upper(): field.default for name, field in Settings.model_fields.items()}
    numbers = {name: default for name, default in told.items() if default.isdigit()}

    assert numbers
    for name, default in numbers.items():
        assert float(default) == fields[name], name


def test_every_section_that_code_cites_is_there() -> None:
    cited = list(_citations())
    sections = {
        name: set(re.findall(r"^## (\d+)\. ", _read(f"docs/{name}.md"), re.MULTILINE))
        for name in ("design", "turn-protocol")
    }

    assert len(cited) > 20
    for path, name, number in cited:
        assert number in sections[name], f"{path.relative_to(ROOT)} cites {name}, {number}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.findall(document.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = document if not name else (document.parent / name).resolve()
        assert target.exists(), link
        if anchor:
            assert anchor in _anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize(
    "name",
    [
        "docs/design.md",
        "docs/turn-protocol.md",
        "docs/one-turn.md",
        "docs/decisions",
        "CONTRIBUTING.md",
        "tests/README.md",
    ],
)
def test_files_that_the_design_names_are_there(name: str) -> None:
    """A path in backticks starts at the root, inside `parley` or among the tests."""
    start = ROOT / name
    text = "\n".join(map(_read, start.glob("*.md"))) if start.is_dir() else _read(name)
    named = set(_PATH.findall(text))

    missing = [
        path
        for path in named
        if "…" not in path and not any((ROOT / at / path).exists() for at in _ROOTS)
    ]
    assert named
    assert missing == []


def test_the_walk_through_a_turn_names_what_its_files_hold() -> None:
    named = re.findall(r"`([\w.]+)` \((?:also )?`([\w/]+\.py)`", _read("docs/one-turn.md"))
    named += re.findall(r"`(\w+)` in `([\w/]+\.py)`", _read("docs/one-turn.md"))

    missing = []
    for name, path in named:
        (file,) = (ROOT / at / path for at in _ROOTS if (ROOT / at / path).exists())
        *within, last = name.split(".")
        held = _names_of(ast.parse(file.read_text(encoding="utf-8")))
        if (within != [file.stem] and not set(within) <= held) or last not in held:
            missing.append((name, path))
    assert len(named) > 20
    assert missing == []


def _names_of(tree: ast.AST) -> set[str]:
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def _test_files(folder: Path) -> list[Path]:
    return [path.relative_to(folder) for path in folder.rglob("test_*.py")]


def test_ci_runs_what_make_test_runs() -> None:
    """Together, the jobs of the workflow run every target of `make test`, and nothing else."""
    shown = subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory", "-pn", "help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    makes = dict(re.findall(r"^(check|test): .*\n(?:#.*\n)*\t.*\$\((CHECKS|TESTS)\)$", shown, re.M))
    lists = {
        name: set(targets.split())
        for name, targets in re.findall(r"^(CHECKS|TESTS) := (.*)$", shown, re.MULTILINE)
    }
    workflow = _read(".github/workflows/ci.yml")
    run = set(re.findall(r"^ +- run: make ([a-z0-9-]+)$", workflow, re.MULTILINE)) | set(
        re.findall(r"^ +- target: ([a-z0-9-]+)$", workflow, re.MULTILINE)
    )

    assert makes == {"check": "CHECKS", "test": "TESTS"}
    assert lists["CHECKS"] == {"lint", "types", "imports", "unit"}
    assert "check" in run
    parts = {target for target in lists["TESTS"] if target.startswith("integration-")}
    assert run - {"check", "integration"} == lists["TESTS"] - lists["CHECKS"] - parts
    folders = {path.parts[0] for path in _test_files(ROOT / "tests" / "integration")}
    in_parts = [folder for part in parts for folder in part.split("-", 1)[1].split("+")]
    assert "integration" in run
    assert sorted(in_parts) == sorted(folders)
