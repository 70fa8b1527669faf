"""The built template as `sam local` needs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from parley_local.cloudformation import load

FILE = "sam-local.json"
VARIABLES_FILE = "sam-local-variables.json"


def declare(
    build: Path,
    variables: Mapping[str, str],
    only: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[Path, Path]:
    """Write a template beside the built one, and the file for `--env-vars`; return both.

    `sam local` gives a function no variable that its template does not name, and names such as
    DATABASE_URL stand in no deployed template.

    Args:
        build: The folder that `sam build` wrote.
        variables: For every function, over what the template says.
        only: More for some functions, by their logical ids. It stands in the written template,
            which others may read, so it holds no secrets.

    Raises:
        OSError: There is no built template.
    """
    document = load(build / "template.yaml")
    for name, resource in document["Resources"].items():
        if resource.get("Type") == "AWS::Serverless::Function":
            environment = resource["Properties"].setdefault("Environment", {})
            declared = environment.setdefault("Variables", {})
            environment["Variables"] = {
                **dict.fromkeys(variables, ""),
                **declared,
                **(only or {}).get(name, {}),
            }
    template, values = build / FILE, build / VARIABLES_FILE
    template.write_text(json.dumps(document, indent=1), encoding="utf-8")
    # Made first for this user only: a model's key may be in it.
    values.touch(mode=0o600)
    values.write_text(json.dumps({"Parameters": dict(variables)}, indent=1), encoding="utf-8")
    return template, values
