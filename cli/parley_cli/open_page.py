"""`parley open`."""

from __future__ import annotations

import os
import webbrowser
from typing import Annotated

import typer

from parley_cli.address import DATA_DIR, find_url
from parley_cli.connection import DataDir, Url


def open_page(
    url: Url = None,
    data_dir: DataDir = DATA_DIR,
    console: Annotated[
        bool, typer.Option("--console", help="The operations page, for administrators.")
    ] = False,
) -> None:
    """Print the address of the chat page, and open it in a browser where there is one.

    With --console, of the operations page.
    """
    name = "console" if console else "chat"
    page = f"{find_url(os.environ, url=url, data_dir=data_dir)}/{name}"
    typer.echo(page)
    webbrowser.open(page)
