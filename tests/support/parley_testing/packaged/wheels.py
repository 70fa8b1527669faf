"""Wheels of a test's own, which no index has, and folders that one can be built of."""

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


_BUILDS = """\
from pathlib import Path
from zipfile import ZipFile


def build_wheel(folder, config_settings=None, metadata_directory=None):
    made = "{name}-{version}-{tag}.whl"
    about = "{name}-{version}.dist-info"
    with ZipFile(Path(folder) / made, "w") as wheel:
        for path in Path("{name}").rglob("*.*"):
            wheel.write(path)
        wheel.writestr(about + "/METADATA", {metadata!r})
        wheel.writestr(about + "/WHEEL", "Wheel-Version: 1.0\\nTag: {tag}\\n")
        wheel.writestr(about + "/RECORD", "")
    return made
"""


def source_tree(
    folder: Path, name: str, files: Mapping[str, str], *requires: str, tag: str = "py3-none-any"
) -> Path:
    """Write a folder that a wheel can be built of, which takes nothing that is not there.

    Args:
        folder: Where; made where needed.
        name: Its name, as a module's.
        files: What is in its package.
        requires: What it depends on.
        tag: Of the wheel, which says what that is for.
    """
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    metadata += "".join(f"Requires-Dist: {each}\n" for each in requires)
    whole = {
        **{f"{name}/{path}": text for path, text in files.items()},
        "build_it.py": _BUILDS.format(name=name, version="1.0", tag=tag, metadata=metadata),
        "pyproject.toml": f'''\
[project]
name = "{name}"
version = "1.0"
dependencies = {list(requires)}

[build-system]
requires = []
build-backend = "build_it"
backend-path = ["."]
''',
    }
    for path, text in whole.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder
