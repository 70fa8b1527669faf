"""What happened in a run of a turn, in files that outlive the process that wrote them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from parley.testing.script import Asked


class Recording:
    """Keeps lines in files of one folder, each added with one write.

    Attributes:
        folder: Where; another for each run of a turn.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def asked(self, asked: Asked) -> None:
        """Keep a call of the model."""
        self.add("asked", asdict(asked))

    def wrong(self, sentence: str) -> None:
        """Keep what the test itself got wrong."""
        self.add("wrong", sentence)

    def add(self, name: str, value: Any) -> None:
        """Add a JSON value to one of the files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps(value, default=str) + "\n"
        file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def read(self, name: str) -> list[Any]:
        """Return the values of a file; none if nothing was added to it."""
        return list(self._lines(self.folder / name))

    def take(self, name: str) -> list[Any]:
        """Return the values of a file and remove it."""
        taken = self.read(name)
        (self.folder / name).unlink(missing_ok=True)
        return taken

    def _lines(self, file: Path) -> Iterator[Any]:
        if file.exists():
            for line in file.read_text().splitlines():
                yield json.loads(line)
