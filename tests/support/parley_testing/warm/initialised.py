"""What `initdb` makes is made once, and copied for whoever would have it made again."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any


def copied(server: type[Any], place: Path) -> None:
    """Have servers take a copy: it costs a tenth, and is what `initdb` would make.

    Args:
        server: `EmbeddedPostgres`.
        place: A folder for what is copied; whoever comes first leaves his there.
    """
    run = server._run

    def run_or_copy(made_for: Any, program: str, *arguments: str) -> None:
        if program != "initdb":
            run(made_for, program, *arguments)
            return
        _, directory, *_ = arguments
        first = place / "first"
        if first.exists():
            _copy(first, Path(directory))
            return
        run(made_for, program, *arguments)
        draft = Path(mkdtemp(dir=place))
        _copy(Path(directory), draft)
        with suppress(OSError):  # another was first
            os.rename(draft, first)
        shutil.rmtree(draft, ignore_errors=True)

    server._run = run_or_copy


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)
