"""`parley token`."""

from __future__ import annotations

from typing import Annotated

import typer

from parley_cli.address import DATA_DIR, local_token, located
from parley_cli.connection import DataDir


def token(
    user: Annotated[str, typer.Option("--user", help="Whom the token speaks for.")] = "local",
    admin: Annotated[bool, typer.Option("--admin", help="With the scope parley:admin.")] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Print a token of parley dev's issuer, and nothing else."""
    typer.echo(local_token(located(data_dir), user, admin=admin))
