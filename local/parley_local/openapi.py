"""`make openapi`: writes the OpenAPI document that the functions serve."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from parley.http.document import document, written


def main() -> None:
    """Write the document beside the code that it is generated from."""
    target = Path(str(resources.files("parley.http"))) / "openapi.json"
    target.write_text(written(document()), encoding="utf-8")
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
