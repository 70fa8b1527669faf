"""Wheels of a test's own, which no index has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str], *requires: str) -> Path:
    """Write a wheel of pure Python.

    Args:
        folder: Where; made where needed.
        name: Its name, as a module's.
        version: Its version.
        files: What is in it.
        requires: What it depends on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Requires-Dist: {each}" for each in requires]
    whole = {
        **files,
        f"{about}/METADATA": "\n".join(metadata) + "\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": "",
    }
    made = folder / f"{name}-{version}-py3-none-any.whl"
    with ZipFile(made, "w") as packed:
        for path, text in whole.items():
            packed.writestr(path, text)
    return made
