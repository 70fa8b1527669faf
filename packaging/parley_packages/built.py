"""What `sam build` left: a folder for each function and layer, and the template that names them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parley_local.cloudformation import load

_FUNCTION = "AWS::Serverless::Function"
_LAYER = "AWS::Serverless::LayerVersion"


@dataclass(frozen=True)
class Built:
    """The packages of one build.

    Attributes:
        template: The template, as SAM deploys it.
        folders: Where each package is, by its logical id; layers first.
        layers: For each function the layers that it carries, in the order of the template.
        others: For each function how many layers it carries besides, which AWS serves by their ARN.
    """

    template: Path
    folders: dict[str, Path]
    layers: dict[str, tuple[str, ...]]
    others: dict[str, int]


def read_build(directory: Path) -> Built:
    """Read a build folder of SAM's.

    Raises:
        OSError: There is no build.
        ValueError: The built template cannot be read.
    """
    template = directory / "template.yaml"
    document = load(template)
    resources: dict[str, dict[str, Any]] = document["Resources"]
    common = ((document.get("Globals") or {}).get("Function") or {}).get("Layers", [])
    layers = [name for name, entry in resources.items() if entry["Type"] == _LAYER]
    carried: dict[str, tuple[str, ...]] = {}
    others: dict[str, int] = {}
    for name, entry in resources.items():
        if entry["Type"] == _FUNCTION:
            # SAM puts a function's own layers after those of all. AWS serves others, by ARN.
            references = [*common, *entry["Properties"].get("Layers", [])]
            ours = [layer.get("Ref") for layer in references if isinstance(layer, dict)]
            carried[name] = tuple(layer for layer in ours if layer in layers)
            others[name] = len(references) - len(carried[name])
    folders = {name: directory / name for name in [*layers, *carried]}
    return Built(template, folders, carried, others)
