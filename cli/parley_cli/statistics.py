"""`parley stats`."""

from __future__ import annotations

from parley_cli.connection import as_admin
from parley_cli.screen import Json, show_fields, show_json
from parley_client import Parley


@as_admin
def stats(parley: Parley, json: Json = False) -> None:
    """Say how the deployment does. Piped: a figure and its value a line, tab-separated."""
    figures = parley.read_statistics()
    (show_json if json else show_fields)(figures)
