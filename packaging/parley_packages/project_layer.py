"""The layer of a project's own code, and which functions carry it."""

from __future__ import annotations

from typing import Any, Final

from parley_packages.own import own_dependencies
from parley_project.faults import ProjectFaults
from parley_project.file import shown
from parley_project.project import Project

LAYER: Final = "ProjectLayer"
"""The logical id of the layer, which has the manifest and the project's packages."""

RUN_ITS_CODE: Final = ("Sessions", "Messages", "Stream", "Worker", "Migrate")
"""The functions that read the manifest and import code of the project's."""

_LIKE: Final = "SharedLayer"
_DEPENDENCIES: Final = "AgentsLayer"


def add_layer(document: dict[str, Any], project: Project) -> None:
    """Put the layer into a template, and let each function carry what it imports of the project.

    What the project depends on is in the layer of the agents. Functions that run none carry that
    as well where they import code of the project's that may need it.

    Args:
        document: The template.
        project: Whose code it is.

    Raises:
        ProjectFaults: A template of the project's own has not the layers of Parley's.
    """
    resources = document["Resources"]
    place = shown(project.template or project.file)
    if _LIKE not in resources:
        raise ProjectFaults([f"{place}: Resources.{_LIKE} is missing, which Parley's template has"])
    like = resources[_LIKE]
    resources[LAYER] = {
        **like,
        "Properties": {
            **like["Properties"],
            "Description": "The code of the project, and what it offers.",
            "LayerName": {"Fn::Sub": "${AWS::StackName}-project"},
            "ContentUri": "layers/project/",
        },
    }
    needing = _needing_dependencies(project)
    for function in RUN_ITS_CODE:
        if function in resources:
            wanted = [_DEPENDENCIES, LAYER] if function in needing else [LAYER]
            _carry(resources[function]["Properties"], wanted, f"{place}: Resources.{function}")


def _needing_dependencies(project: Project) -> set[str]:
    """Return the functions beside those of agents whose code of the project may need the others'.

    The layer's size costs a start little; what costs is what is imported of it.
    """
    offered = project.manifest
    if not own_dependencies(project.file):
        return set()
    return {
        *(["Sessions"] if offered.routes or offered.user_data else []),
        *(["Migrate"] if offered.migrations or offered.user_data else []),
    }


def _carry(properties: dict[str, Any], layers: list[str], place: str) -> None:
    carried = properties.get("Layers", [])
    if not isinstance(carried, list):
        raise ProjectFaults([f"{place}.Properties.Layers must be a list"])
    added = [{"Ref": layer} for layer in layers]
    properties["Layers"] = [*carried, *(each for each in added if each not in carried)]
