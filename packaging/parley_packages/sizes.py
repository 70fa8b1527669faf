"""Prints how large the built packages are: `parley_packages.sizes BUILD_DIR`.

Fails where Lambda would refuse them; says where they are larger than what Parley itself needs.
"""

from __future__ import annotations

import os
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

LAYERS_LIMIT: Final = 5
"""How many layers Lambda takes of a function."""

_SHOWN: Final = 200_000
"""Modules below this many bytes are shown together."""

_NAMED: Final = 5
"""How many modules are named of a function that is too large, the largest of all its packages."""


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder, as Lambda counts them."""
    return sum(
        os.stat(os.path.join(inside, name)).st_size
        for inside, _, names in os.walk(folder)
        for name in names
    )


def function_sizes(built: Built) -> dict[str, int]:
    """Return the bytes of each function with its layers."""
    sizes = {name: size(folder) for name, folder in built.folders.items()}
    return {
        function: sum(sizes[name] for name in (function, *layers))
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


def over_limit(built: Built, sizes: dict[str, int]) -> list[str]:
    """Return a sentence for each function that Lambda would refuse, with what is large in it.

    Args:
        built: The packages.
        sizes: The bytes of each function with its layers. What layers have that AWS serves is not
            known here.
    """
    return [
        f"{name} has {_megabytes(own)} with its layers ({_parts(built, name)}); Lambda takes"
        f" {_megabytes(LAMBDA_LIMIT)}. The largest in it: {_largest(built, name)}."
        for name, own in sizes.items()
        if own > LAMBDA_LIMIT
    ] + [
        f"{name} has {count} layers ({', '.join(own)} and {built.others[name]} that AWS serves);"
        f" Lambda takes {LAYERS_LIMIT}."
        for name, own in built.layers.items()
        if (count := len(own) + built.others[name]) > LAYERS_LIMIT
    ]


def _parts(built: Built, function: str) -> str:
    packages = (function, *built.layers[function])
    return ", ".join(f"{name} {_megabytes(size(built.folders[name]))}" for name in packages)


def _largest(built: Built, function: str) -> str:
    found: Counter[str] = Counter()
    for name in (function, *built.layers[function]):
        found.update(module_sizes(built.folders[name]))
    del found["other"]
    return ", ".join(f"{name} {_megabytes(own)}" for name, own in found.most_common(_NAMED))


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
        whole = size(folder)
        print(f"{name:<28}{_in_column(whole)}")
        if whole > _SHOWN:
            for module, own in module_sizes(folder).items():
                print(f"  {module:<26}{_in_column(own)}")
    print("\nFunctions with their layers, unzipped")
    sizes = function_sizes(built)
    for name, own in sizes.items():
        budget = f" of {_in_column(BUDGETS[name])}" if name in BUDGETS else ""
        print(f"  {name:<26}{_in_column(own)}{budget}")
    if not any(path for folder in built.folders.values() for path in folder.rglob("*.pyc")):
        print("No byte code: this machine lacks the functions' Python. They will start slower.")
    for larger in over_budget(sizes):  # as with packages that agents need
        print(larger)
    if faults := over_limit(built, sizes):
        sys.exit("\n".join(faults))


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _in_column(count: int) -> str:
    return f"{_megabytes(count):>9}"


if __name__ == "__main__":
    main()
