"""The rights that a project's functions have besides Parley's."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.manifest import Manifest, Offer
from parley_backend import backend
from parley_local.cloudformation import load
from parley_local.own_policies import read_policies
from parley_packages.project_template import RUN_ITS_TOOLS, project_template
from parley_project.faults import ProjectFaults
from parley_project.project import Project

READS = """
Version: "2012-10-17"
Statement:
  - Effect: Allow
    Action: s3:GetObject
    Resource: !Sub arn:${AWS::Partition}:s3:::menus/*
"""
STATEMENT = {
    "Effect": "Allow",
    "Action": "s3:GetObject",
    "Resource": {"Fn::Sub": "arn:${AWS::Partition}:s3:::menus/*"},
}


def project(root: Path, text: str | None) -> Project:
    file = None if text is None else root / "policies.yaml"
    if file is not None:
        file.write_text(text or "")
    manifest = Manifest({"host": Offer("x", "bistro:a")}, "host")
    return Project(root / "pyproject.toml", manifest, root, (), None, file)


def test_a_project_without_them_adds_nothing(tmp_path: Path) -> None:
    assert read_policies(project(tmp_path, None)) == []


def test_they_are_for_the_functions_that_carry_out_turns(tmp_path: Path) -> None:
    plain = backend("template.yaml")
    (tmp_path / "pyproject.toml").write_text("[tool.parley]\n")

    built = load(project_template(project(tmp_path, READS), plain, tmp_path / "built"))

    policy = built["Resources"]["ProjectPolicy"]["Properties"]
    assert policy["PolicyDocument"]["Statement"] == [STATEMENT]
    assert policy["Roles"] == [{"Ref": f"{function}Role"} for function in RUN_ITS_TOOLS]
    assert all(f"{function}Role" in built["Resources"] for function in RUN_ITS_TOOLS)


def test_one_statement_needs_no_list(tmp_path: Path) -> None:
    text = "Statement: {Effect: Deny, NotAction: 's3:*', Resource: '*'}"

    assert len(read_policies(project(tmp_path, text))) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "cannot be read: "),
        ("- Effect: Allow", "cannot be read: "),
        ("{}", "Statement 1: must be a mapping"),
        ("Statements: []", "Statements: a policy has a Version and a Statement only"),
        ("Statement: [no]", "Statement 1: must be a mapping with Effect, Action and Resource"),
        (
            "Statement: {Effect: allow, Action: a, Resource: r}",
            "Statement 1: Effect must be Allow or Deny",
        ),
        ("Statement: {Effect: Allow, Action: a}", "has to have Resource, or NotResource"),
        (
            "Statement: {Effect: Allow, Action: a, NotAction: b, Resource: r}",
            "has to have Action, or NotAction, and not both",
        ),
        ("Statement: {Effect: Allow, Actions: a, Action: a, Resource: r}", "Actions is unknown"),
    ],
)
def test_what_is_no_policy_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ProjectFaults) as refused:
        read_policies(project(tmp_path, text))

    assert said in str(refused.value)
    assert "policies.yaml" in str(refused.value)
