"""What a project's functions may do beyond what Parley's need: statements of IAM, in a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from parley_local.own_template import load_own
from parley_project.faults import ProjectFaults
from parley_project.file import shown
from parley_project.project import Project

_FIELDS = frozenset(
    {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)


def read_policies(project: Project) -> list[dict[str, Any]]:
    """Return the statements of `[tool.parley] policies`; none if it names no file.

    The file is a policy document, in which CloudFormation's functions may stand.

    Raises:
        ProjectFaults: It cannot be read, or a statement in it is none.
    """
    if project.policies is None:
        return []
    name, document = shown(project.policies), load_own(project.policies)
    if unknown := sorted(map(str, document.keys() - {"Version", "Statement"})):
        raise ProjectFaults([f"{name}: {unknown[0]}: a policy has a Version and a Statement only"])
    given = document.get("Statement")
    statements: list[Any] = given if isinstance(given, list) else [given]
    faults = [
        f"{name}: Statement {number}: {fault}"
        for number, statement in enumerate(statements, 1)
        for fault in _faults(statement)
    ]
    if faults:
        raise ProjectFaults(faults)
    return statements


def _faults(statement: Any) -> Iterator[str]:
    """Yield what AWS would refuse only after minutes, when the stack is made."""
    if not isinstance(statement, dict):
        yield "must be a mapping with Effect, Action and Resource"
        return
    yield from (f"{key} is unknown" for key in sorted(map(str, statement.keys() - _FIELDS)))
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield "Effect must be Allow or Deny"
    for one, other in (("Action", "NotAction"), ("Resource", "NotResource")):
        if (one in statement) == (other in statement):
            yield f"has to have {one}, or {other}, and not both"
