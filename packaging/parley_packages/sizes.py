"""Prints how large the built packages are: `parley_packages.sizes BUILD_DIR`.

Fails where Lambda would refuse them; says where they are larger than what Parley itself needs.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Final

from parley_packages.built import Built, read_build

BUDGETS: Final = {
    "Sessions": 85_000_000,
    "Messages": 160_000_000,
    "Stream": 160_000_000,
    "Worker": 160_000_000,
    "Cleanup": 85_000_000,
}
"""How many bytes Parley's own may have, unzipped, with its layers and byte code."""

LAMBDA_LIMIT: Final = 250 * 1024 * 1024
"""How many bytes Lambda takes of a function with its layers, unzipped."""

_SHOWN: Final = 200_000
"""Modules below this many bytes are shown together."""


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder, as Lambda counts them."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def function_sizes(built: Built) -> dict[str, int]:
    """Return the bytes of each function with its layers."""
    return {
        function: sum(size(built.folders[name]) for name in (function, *layers))
        for function, layers in built.layers.items()
    }


def module_sizes(package: Path) -> dict[str, int]:
    """Return the bytes of each module of a function or layer, the largest first.

    The libraries that a compiled module brings along are counted with it; `other` is all that is
    small, with what only describes a distribution.
    """
    found: Counter[str] = Counter()
    inside = package / "python"
    for path in (inside if inside.is_dir() else package).iterdir():
        name = path.name.split(".")[0]
        own = path.stat().st_size if path.is_file() else size(path)
        small = name == "__pycache__" or path.suffix == ".dist-info"
        found["other" if small else name] += own
    shown = {name: own for name, own in found.most_common() if own >= _SHOWN and name != "other"}
    return {**shown, "other": found.total() - sum(shown.values())}


def over_limit(sizes: dict[str, int]) -> list[str]:
    """Return a sentence for each function that Lambda would refuse."""
    return [
        f"{name} has {_megabytes(own)} with its layers; Lambda takes {_megabytes(LAMBDA_LIMIT)}."
        for name, own in sizes.items()
        if own > LAMBDA_LIMIT
    ]


def over_budget(sizes: dict[str, int]) -> list[str]:
    """Return a sentence for each function that is larger than Parley's own need be."""
    return [
        f"{name} has {_megabytes(sizes[name])} with its layers, {_megabytes(sizes[name] - budget)}"
        " more than Parley's own may have: it starts slower."
        for name, budget in BUDGETS.items()
        if sizes[name] > budget
    ]


def main() -> None:
    """Print the sizes of the build that the command line names."""
    built = read_build(Path(sys.argv[1]))
    for name, folder in built.folders.items():
        print(f"{name:<28}{_megabytes(size(folder))}")
        if size(folder) > _SHOWN:
            for module, own in module_sizes(folder).items():
                print(f"  {module:<26}{_megabytes(own)}")
    print("\nFunctions with their layers, unzipped")
    sizes = function_sizes(built)
    for name, own in sizes.items():
        budget = f" of {_megabytes(BUDGETS[name])}" if name in BUDGETS else ""
        print(f"  {name:<26}{_megabytes(own)}{budget}")
    if not any(path for folder in built.folders.values() for path in folder.rglob("*.pyc")):
        print("No byte code: this machine lacks the functions' Python. They will start slower.")
    for larger in over_budget(sizes):  # as with packages that agents need
        print(larger)
    if faults := over_limit(sizes):
        sys.exit("\n".join(faults))


def _megabytes(count: int) -> str:
    return f"{count / 1e6:6.1f} MB"


if __name__ == "__main__":
    main()
