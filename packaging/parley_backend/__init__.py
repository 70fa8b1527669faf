"""The backend as data: the template, its functions and layers, and the locked versions.

In a checkout `template.yaml` is a link to that of the top level, where the rest is; a wheel has all
of it in this package.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def backend(*parts: str) -> Path:
    """Return where a file or folder of the backend is; without parts, the folder of all.

    Its names are those of the checkout's top level: `template.yaml`, `functions/migrate`, …
    """
    return Path(str(files(__name__) / "template.yaml")).resolve().parent.joinpath(*parts)
