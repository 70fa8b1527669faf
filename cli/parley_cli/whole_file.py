"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from parley_cli.errors import CommandFailed


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Return a file for text, which only its owner can read; it is at the path when all went well.

    Raises:
        CommandFailed: It cannot be written there.
    """
    try:
        descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                yield file
            os.replace(draft, path)
        except BaseException:
            os.unlink(draft)
            raise
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}.") from error
