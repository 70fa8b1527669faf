"""Schema migrations: at deploy time as a CloudFormation custom resource, or by direct invocation.

A custom resource that never answers hangs its stack for an hour, so everything happens inside
`handler`, imports too, and CloudFormation is told of any failure before the deadline.
"""

from __future__ import annotations

import json
import os
import threading
import traceback
import urllib.request
from typing import Any

PHYSICAL_ID = "parley-schema"
"""The same always: another id would make CloudFormation delete the one before."""

_MARGIN_SECONDS = 10.0
_WITHOUT_CONTEXT_SECONDS = 280.0


class MigrationFailed(Exception):
    """The schema could not be brought up to date; the message says why, in a sentence.

    Attributes:
        explained: Whoever asked needs no traceback; the log has it.
    """

    explained = True


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Migrate.

    Args:
        event: A custom resource's request, answered at its `ResponseURL`; or `{"action":
            "migrate"}`, answered by what this returns.
        context: Lambda's; says how much time there is. None if the caller has time.

    Returns:
        The revision that the database is at, and warnings, if there are any, of tables that erasing
        a user would leave; on a custom resource's failure, the reason.

    Raises:
        ValueError: The event is neither.
        MigrationFailed: A direct invocation's migration failed.
    """
    if "RequestType" in event:
        return _custom_resource(event, context)
    if event.get("action") == "migrate":
        try:
            return _migrate(_seconds(context))
        except Exception as error:
            reason = _reason(error)
            _log(error, reason)
            raise MigrationFailed(reason) from error
    raise ValueError("expected a custom resource's event or {'action': 'migrate'}")


def _custom_resource(event: dict[str, Any], context: Any) -> dict[str, Any]:
    if event["RequestType"] == "Delete":
        return _answer(event, "SUCCESS", {})  # the database outlives the stack
    finished: dict[str, Any] = {}
    seconds = _seconds(context)

    def work() -> None:
        try:
            finished["data"] = {"revision": _migrate(seconds)["revision"]}
        except BaseException as error:
            reason = _reason(error)
            _log(error, reason)
            finished["reason"] = reason

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(seconds)
    if "data" in finished:
        return _answer(event, "SUCCESS", finished["data"])
    reason = finished.get(
        "reason", "The migration did not end in time; unless it still ends, it is rolled back."
    )
    # The stack's events are where it is looked for, and the log has more.
    return _answer(event, "FAILED", {}, f"{reason} The log: {context.log_group_name}")


def _seconds(context: Any) -> float:
    """Return how long a migration may take, so that there is time left to answer."""
    if context is None:
        return _WITHOUT_CONTEXT_SECONDS
    left: float = context.get_remaining_time_in_millis() / 1000
    return max(1.0, left - _MARGIN_SECONDS)


def _reason(error: BaseException) -> str:
    """Return why it failed, as a sentence without secrets."""
    try:
        from parley.repository.diagnosis import diagnose
    except Exception:  # what it needs is not there, which may be what went wrong
        return f"{type(error).__name__}: {error}"
    return diagnose(error).sentence


def _log(error: BaseException, reason: str) -> None:
    """Write what led there in one line; for people only where the reason does not say all."""
    led = "".join(traceback.format_exception(error))
    if os.environ.get("LOG_FORMAT") != "text":
        told = {"level": "ERROR", "message": "migration failed", "reason": reason}
        print(json.dumps({**told, "traceback": led}))  # noqa: T201
    elif not _is_known(error):
        print(led)  # noqa: T201


def _is_known(error: BaseException) -> bool:
    try:
        from parley.errors import ParleyError
    except Exception:  # it may be what went wrong
        return False
    return isinstance(error, ParleyError)


def _migrate(seconds: float) -> dict[str, Any]:
    from schema import project_migrations, upgrade, what_erasing_leaves

    from parley.composition import Composition
    from parley.config import load_settings
    from parley.repository.address import parse_url
    from parley.user_tables import kept_of_users

    parts = Composition(load_settings("owner"))
    runtime = parts.runtime_url()
    database, project, kept = parts.owned_database, project_migrations(), kept_of_users()
    try:
        revision = upgrade(
            database,
            seconds,
            runtime=None if runtime is None else parse_url(runtime),
            project=project,
            kept=kept,
        )
        warnings = [] if project is None and not kept else what_erasing_leaves(database, kept)
        for warning in warnings:
            print(json.dumps({"message": "migration", "warning": warning}))  # noqa: T201
        return {"revision": revision, **({"warnings": warnings} if warnings else {})}
    finally:
        database.close()


def _answer(
    event: dict[str, Any], status: str, data: dict[str, Any], reason: str = ""
) -> dict[str, Any]:
    body = {
        "Status": status,
        "Reason": reason[:1000],
        "PhysicalResourceId": PHYSICAL_ID,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": data,
    }
    print(json.dumps({"message": "migration", "status": status, "reason": reason, **data}))  # noqa: T201
    request = urllib.request.Request(
        event["ResponseURL"], json.dumps(body).encode(), {"Content-Type": ""}, method="PUT"
    )
    with urllib.request.urlopen(request, timeout=_MARGIN_SECONDS / 2):
        return {"status": status, "reason": reason, **data}
