"""The migrate function, run once before anything is served."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping

from parley.errors import ParleyError
from parley_local.pool import Pool
from parley_local.template import Template

log = logging.getLogger(__name__)

_FOLDER = "migrate"


class MigrationFailed(ParleyError):
    """The schema could not be brought up to date; the message says why."""


def migrating(template: Template) -> list[str]:
    """Return the logical ids of the functions that migrate the database; best one."""
    return [name for name, each in template.functions.items() if each.folder.name == _FOLDER]


async def migrate_and_tell(
    template: Template, variables: Mapping[str, str], *, owner_url: str
) -> None:
    """Do what `migrate` does, and write its warnings into the log."""
    for warning in await migrate(template, variables, owner_url=owner_url):
        log.warning("%s", warning)


async def migrate(template: Template, variables: Mapping[str, str], *, owner_url: str) -> list[str]:
    """Invoke the function in the folder `migrate` as a direct call, and wait for its end.

    Args:
        template: What names the function.
        variables: The environment of all functions.
        owner_url: The database's URL for its owner, which no other function is given.

    Returns:
        Its warnings of tables that erasing a user would leave.

    Raises:
        MigrationFailed: It failed, or the template has no such function.
    """
    names = migrating(template)
    if not names:
        raise MigrationFailed(f"the template has no function in a folder named {_FOLDER}.")
    pool = Pool(template.functions[names[0]], {**variables, "DATABASE_URL": owner_url}, limit=1)
    try:
        answer = await pool.invoke({"action": "migrate"}, str(uuid.uuid4()))
    finally:
        await pool.aclose()
    if answer.error is not None:
        raise MigrationFailed(str(answer.error.get("errorMessage")))
    warnings: list[str] = answer.result.get("warnings", [])
    return warnings
