"""A template of a project's own: what `parley check` misses in it, and what it serves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parley_backend import backend
from parley_local.own_template import check_template, template_of
from parley_local.template_file import read_template
from parley_project.faults import ProjectFaults
from parley_project.project import Project, read_project

OURS = backend("template.yaml").read_text(encoding="utf-8")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text("def build(): ...\n")
    return tmp_path


def own(root: Path, text: str | None) -> Project:
    named = "" if text is None else 'template = "template.yaml"\n'
    if text is not None:
        (root / "template.yaml").write_text(text)
    (root / "pyproject.toml").write_text(
        f"[tool.parley]\n{named}[tool.parley.agents]\n"
        'shop = { target = "shop:build", description = "Sells." }\n'
    )
    return read_project(root / "pyproject.toml")


def test_parleys_template_lacks_nothing(root: Path) -> None:
    assert check_template(own(root, None)) == []
    assert check_template(own(root, OURS)) == []


def test_what_is_missing_is_named_once_and_what_is_more_or_otherwise_is_not(root: Path) -> None:
    text = re.sub(r"^  LogLevel:\n(?:    .*\n)+", "", OURS, count=1, flags=re.MULTILINE)
    text = text.replace("      WAKE_QUEUE_URL:", "      WAKE_QUEUE:")
    text = text.replace("MemorySize: 512", "MemorySize: 1024")
    text = re.sub(r'Revision: "\d+"', 'Revision: "0001"', text)
    text = text.replace("\nResources:\n", "\nResources:\n  Mine: {Type: AWS::SNS::Topic}\n")
    assert text.count("LogLevel:\n") < OURS.count("LogLevel:\n")

    said = check_template(own(root, text))

    assert "template.yaml: Parameters.LogLevel is missing, which Parley's template has" in said
    assert any(
        each.endswith("WAKE_QUEUE_URL is missing, which Parley's template has") for each in said
    )
    assert said[-1].startswith("template.yaml: Resources.Migration.Properties.Revision is '0001'")
    assert not [each for each in said if "Mine" in each or "MemorySize" in each]


def test_what_is_no_template_is_refused(root: Path) -> None:
    with pytest.raises(ProjectFaults, match=r"template\.yaml: cannot be read"):
        check_template(own(root, "a: [\n"))


def test_its_functions_are_parleys(root: Path) -> None:
    file, start = template_of(own(root, OURS))

    served = read_template(file, start)

    assert file == root / "template.yaml"
    assert served.functions["Messages"].folder == backend("functions", "messages")
