"""Libraries of the browser's that the repository holds: `parley_packages.vendored FOLDER...`.

A folder's `vendored.json` names each package of the npm registry with its version, the registry's
hash of its archive, and the files that are taken from it, each with its own hash. Here they are
fetched anew and compared; nothing is written that is not what was named.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from parley.errors import ParleyError

LIST: Final = "vendored.json"


class NotWhatWasNamed(ParleyError):
    """A package or a file of it has another hash than the list says."""


def taken(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Yield each package that a folder's list names, with each file that is taken from it."""
    for package in json.loads((folder / LIST).read_text("utf-8")):
        for file in package["files"]:
            yield package, file


def sha256(data: bytes) -> str:
    """Return the hash as the list has it of files."""
    return hashlib.sha256(data).hexdigest()


def fetch(folder: Path) -> None:
    """Write the files that a folder's list names, from the npm registry.

    Raises:
        NotWhatWasNamed: What came is something else; the folder is as it was.
        subprocess.CalledProcessError: npm cannot fetch a package.
    """
    archives: dict[str, Path] = {}
    with tempfile.TemporaryDirectory() as place:
        files = {}
        for package, file in taken(folder):
            name = f"{package['name']}@{package['version']}"
            if name not in archives:
                archives[name] = _archive(name, package["integrity"], Path(place))
            data = _member(archives[name], file["from"])
            if sha256(data) != file["sha256"]:
                raise NotWhatWasNamed(f"{file['from']} of {name} has the hash {sha256(data)}")
            files[folder / file["as"]] = data
    for path, data in files.items():
        path.write_bytes(data)


def _archive(name: str, integrity: str, place: Path) -> Path:
    packed = subprocess.run(
        ["npm", "pack", "--json", "--ignore-scripts", name],
        cwd=place, check=True, capture_output=True, text=True,
    )  # fmt: skip
    filename: str = json.loads(packed.stdout)[0]["filename"]
    archive = place / filename
    found = "sha512-" + b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != integrity:
        raise NotWhatWasNamed(f"{name} has the hash {found}")
    return archive


def _member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as opened:
        member = opened.extractfile(f"package/{name}")
        assert member is not None, name
        return member.read()


if __name__ == "__main__":
    for each in sys.argv[1:]:
        fetch(Path(each))
