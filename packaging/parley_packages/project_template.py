"""The template of a project: the backend's, with the layer, parameters and rights that it adds."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from parley.manifest import Variable
from parley.project_variables import ARN_SUFFIX
from parley_backend import backend
from parley_local.agent_check import check_project
from parley_local.cloudformation import load
from parley_local.own_policies import read_policies
from parley_local.own_template import SERVES_ROUTES
from parley_packages.project_layer import RUN_ITS_CODE, add_layer
from parley_project.faults import ProjectFaults
from parley_project.project import FILE, Project, read_project

RUN_ITS_TOOLS: Final = ("Messages", "Stream", "Worker")
"""Those of them that carry out turns, and so may do what the project's policies allow."""

_PATHS = ("CodeUri", "ContentUri", "TemplateURL")


def project_template(project: Project, plain: Path, folder: Path) -> Path:
    """Return the template to build a project with.

    Args:
        project: Whose, with the paths of its routes.
        plain: What it is made of: the backend's, or one of the project's with the same names.
        folder: Where it is written. Parley's own agents are in its own layer and add nothing.

    Raises:
        OSError: It cannot be written.
        ProjectFaults: Its policies cannot be read, or are none; or an own template lacks what the
            project's code goes into.
    """
    statements = read_policies(project)
    keeps = project.migrations is not None or project.manifest.user_data is not None
    own = project.file != backend(FILE)
    if not (own or project.manifest.environment or keeps or statements or project.paths):
        return plain
    document = load(plain)
    if own:
        add_layer(document, project)
    for entry in document["Resources"].values():
        properties = entry.get("Properties", {})
        for name in _PATHS:
            if isinstance(properties.get(name), str):
                nested = name == "TemplateURL"
                begins = plain.resolve().parent if nested else backend()
                properties[name] = str(begins / properties[name])
    for variable in project.manifest.environment:
        _add(document, variable)
    if statements:
        resources = document["Resources"]
        functions = RUN_ITS_TOOLS + ((SERVES_ROUTES,) if project.paths else ())
        resources["ProjectPolicy"] = _policy("Project", functions, statements, resources)
    _add_paths(document, project.paths)
    if keeps and "Migration" in document["Resources"]:
        # CloudFormation asks for a migration when a property of it has changed.
        migration = document["Resources"]["Migration"]["Properties"]
        migration["Project"] = _digest(project)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "project-template.json"
    file.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return file


def parameter_of(variable: Variable) -> str:
    """Return the name of the template's parameter that gives a variable."""
    words = "".join(word[:1].upper() + word[1:].lower() for word in variable.name.split("_"))
    return f"Project{words}{'SecretArn' if variable.secret else ''}"


def _add(document: dict[str, Any], variable: Variable) -> None:
    parameters, resources = document["Parameters"], document["Resources"]
    name = parameter_of(variable)
    entry: dict[str, Any] = {"Type": "String", "Description": f"{variable.name} of the project."}
    if variable.secret:
        form = parameters["DatabaseSecretArn" if variable.required else "DatabaseRuntimeSecretArn"]
        entry["AllowedPattern"] = form["AllowedPattern"]
        entry["ConstraintDescription"] = form["ConstraintDescription"]
        entry["Description"] = f"ARN of the secret, of either kind, that holds {variable.name}."
    elif variable.required:
        entry["MinLength"] = 1
    if not variable.required:
        entry["Default"] = variable.default or ""
    parameters[name] = entry
    set_as = variable.name + (ARN_SUFFIX if variable.secret else "")
    functions = [each for each in RUN_ITS_CODE if each in resources]
    for function in functions:
        properties = resources[function]["Properties"]
        variables = properties.setdefault("Environment", {}).setdefault("Variables", {})
        variables[set_as] = {"Ref": name}
    if variable.secret:
        # Its ARN is of one kind or the other.
        statement = {
            "Sid": "ReadProjectsSecret",
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue", "ssm:GetParameter"],
            "Resource": {"Ref": name},
        }
        resources[f"{name}Policy"] = _policy(name, functions, [statement], resources)
        if not variable.required:
            document.setdefault("Conditions", {})[f"Has{name}"] = {
                "Fn::Not": [{"Fn::Equals": [{"Ref": name}, ""]}]
            }
            resources[f"{name}Policy"]["Condition"] = f"Has{name}"


def _add_paths(document: dict[str, Any], paths: Iterable[str]) -> None:
    """Add an event with any method for each path that the template has not."""
    function = document["Resources"].get(SERVES_ROUTES)
    if function is None:
        return
    events = function["Properties"].setdefault("Events", {})
    of_api = [event["Properties"] for event in events.values() if event["Type"] == "Api"]
    there = {event["Path"] for event in of_api}
    for path in paths:
        if path not in there:
            properties = {"RestApiId": {"Ref": "Api"}, "Method": "any", "Path": path}
            events[event_of(path)] = {"Type": "Api", "Properties": properties}


def event_of(path: str) -> str:
    """Return the name of the event of a path; no two have one, and a path keeps it."""
    words = re.findall(r"[A-Za-z0-9]+", path)
    digest = hashlib.sha256(path.encode()).hexdigest()[:6]
    return "Project" + "".join(word[:1].upper() + word[1:] for word in words)[:40] + digest


def _policy(
    name: str,
    functions: Iterable[str],
    statements: list[dict[str, Any]],
    resources: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a policy for the roles that some functions have in a template."""
    roles = [f"{each}Role" for each in functions if f"{each}Role" in resources]
    return {
        "Type": "AWS::IAM::Policy",
        "Properties": {
            "PolicyName": name,
            "Roles": [{"Ref": role} for role in roles],
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
        },
    }


def _digest(project: Project) -> str:
    """Return what changes with the migrations, or with the code that says what is kept of users."""
    found = hashlib.sha256((project.manifest.user_data or "").encode())
    places = [project.migrations] if project.migrations is not None else []
    if project.manifest.user_data is not None:
        places += project.packages
    for place in places:
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            found.update(str(file.relative_to(project.root)).encode() + b"\0" + file.read_bytes())
    return found.hexdigest()[:16]


def main() -> None:
    """Print the template of the project that the environment names; Parley's own if none."""
    parser = argparse.ArgumentParser(description="Writes the template of a project.")
    parser.add_argument("folder", type=Path, help="where it goes, if it is not the backend's own")
    given = parser.parse_args()
    try:
        project = read_project(Path(os.environ.get("PARLEY_PROJECT") or backend(FILE)))
        if project.manifest.routes:
            project = check_project(project.root, os.environ)
        print(project_template(project, project.template or backend("template.yaml"), given.folder))
    except ProjectFaults as faults:
        sys.exit(str(faults))


if __name__ == "__main__":
    main()
