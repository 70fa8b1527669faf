"""What the scope `parley:admin` allows."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import httpx

from parley_client.admin_models import (
    AdminSession,
    AdminTurn,
    CleanupReport,
    DeploymentBudget,
    Erasure,
    LoggedEvent,
    RecordedToolCall,
    RememberedItem,
    Renaming,
    Statistics,
    TurnOfAnybody,
    TurnSeries,
    UserBudget,
)
from parley_client.call import Call, Page, Series, below, below_name, present, shown_as
from parley_client.models import SessionStatus, TranscriptMessage, TurnStatus


def list_all_sessions(
    *,
    status: SessionStatus | None = None,
    user_id: str | None = None,
    agent: str | None = None,
    platform: str | None = None,
    page_size: int = 100,
) -> Series[AdminSession]:
    """List sessions of all users, newest activity first."""
    query = {"status": status, "user_id": user_id, "agent": agent, "platform": platform}
    return Series(
        lambda cursor: Call(
            "GET",
            "/admin/sessions",
            shown_as(Page[AdminSession]),
            query={**query, "limit": page_size, "cursor": cursor},
        )
    )


def read_any_session(session_id: UUID | str) -> Call[AdminSession]:
    """Read any user's session."""
    return Call("GET", below("/admin/sessions", session_id), shown_as(AdminSession))


def read_any_transcript(
    session_id: UUID | str, *, order: Literal["asc", "desc"] = "desc", page_size: int = 100
) -> Series[TranscriptMessage]:
    """List the messages of any user's session by time."""
    path = below("/admin/sessions", session_id, "messages")
    return Series(
        lambda cursor: Call(
            "GET",
            path,
            shown_as(Page[TranscriptMessage]),
            query={"order": order, "limit": page_size, "cursor": cursor},
        )
    )


def read_any_turn(turn_id: UUID | str) -> Call[AdminTurn]:
    """Read any user's turn, by its id or by that of the request which made it."""
    return Call("GET", below_name("/admin/turns", str(turn_id)), shown_as(AdminTurn))


def list_all_turns(
    *,
    status: TurnStatus | None = None,
    user_id: str | None = None,
    agent: str | None = None,
    session_id: UUID | str | None = None,
    page_size: int = 100,
) -> Series[TurnOfAnybody]:
    """List turns of all users, the newest first; what is rare is looked for page after page."""
    query = {
        "status": status,
        "user_id": user_id,
        "agent": agent,
        "session_id": None if session_id is None else str(session_id),
    }
    return Series(
        lambda cursor: Call(
            "GET",
            "/admin/turns",
            shown_as(Page[TurnOfAnybody]),
            query={**query, "limit": page_size, "cursor": cursor},
        )
    )


def read_any_tool_calls(turn_id: UUID | str, *, page_size: int = 100) -> Series[RecordedToolCall]:
    """List what the tools of any user's turn were given and gave, as it was recorded."""
    path = below_name("/admin/turns", str(turn_id), "tool-calls")
    return Series(
        lambda cursor: Call(
            "GET",
            path,
            shown_as(Page[RecordedToolCall]),
            query={"limit": page_size, "cursor": cursor},
        )
    )


def read_any_events(turn_id: UUID | str, *, page_size: int = 100) -> Series[LoggedEvent]:
    """List what happened in any user's turn, as far as that is still kept, for a day."""
    path = below_name("/admin/turns", str(turn_id), "events")
    return Series(
        lambda cursor: Call(
            "GET",
            path,
            shown_as(Page[LoggedEvent]),
            query={"limit": page_size, "cursor": cursor},
        )
    )


def read_any_turn_memory(turn_id: UUID | str, *, page_size: int = 100) -> Series[RememberedItem]:
    """List what the agent remembers of any user's turn, when it has ended."""
    path = below_name("/admin/turns", str(turn_id), "memory")
    return Series(
        lambda cursor: Call(
            "GET",
            path,
            shown_as(Page[RememberedItem]),
            query={"limit": page_size, "cursor": cursor},
        )
    )


def change_session_status(
    session_id: UUID | str, *, status: SessionStatus, note: str | None = None
) -> Call[AdminSession]:
    """Set the status of any user's session, as who has dealt with an escalation does.

    It is not sent again when its answer is lost: the session may have been escalated anew.

    Args:
        session_id: The session.
        status: What it is to be.
        note: What the user is told, and the agent shown as the last thing that was said.
    """
    return Call(
        "PATCH",
        below("/admin/sessions", session_id),
        shown_as(AdminSession),
        body={"status": status, **present(note=note)},
        repeatable=False,
    )


def clean_up(
    *,
    dry_run: bool = False,
    older_than_seconds: int | None = None,
    platform: str | None = None,
    name_prefix: str | None = None,
    user_id: str | None = None,
) -> Series[CleanupReport]:
    """Remove what is past its time; gives the report of each step, until all is done.

    Args:
        dry_run: Only say what would go, session by session.
        older_than_seconds: Sessions without activity for so long; else the deployment's ages.
        platform: Only sessions of this platform.
        name_prefix: Only sessions whose name begins so.
        user_id: Only this user's sessions.
    """
    filters = present(
        older_than_seconds=older_than_seconds,
        platform=platform,
        name_prefix=name_prefix,
        user_id=user_id,
    )
    return Series(
        lambda cursor: Call(
            "POST",
            "/admin/cleanup",
            _cleanup_page,
            body={"dry_run": dry_run, **filters, **present(cursor=cursor)},
        )
    )


def read_statistics() -> Call[Statistics]:
    """Say how the deployment does."""
    return Call("GET", "/admin/stats", shown_as(Statistics))


def read_turn_series(*, by: Literal["hour", "day"] = "hour", last: int = 24) -> Call[TurnSeries]:
    """Say what turns came to, hour by hour or day by day of UTC.

    Args:
        by: How long each is.
        last: How many, 1 to 100; the last is the one that it is now.
    """
    return Call("GET", "/admin/stats/turns", shown_as(TurnSeries), query={"by": by, "last": last})


def erase_user(user_id: str) -> Series[Erasure]:
    """Remove all that there is of a user; gives what each step removed, until all is gone."""
    path = below_name("/admin/users", user_id)
    return Series(lambda cursor: Call("DELETE", path, _erased_page))


def rename_user(user_id: str, new_user_id: str) -> Series[Renaming]:
    """Put all that there is of a user under another id; gives what each step did, until all is.

    The last step is not `done` where sessions are left that have an open turn (`waiting`).

    It is safe to repeat, also after it was broken off.
    """
    path = below_name("/admin/users", user_id, "rename")
    return Series(
        lambda cursor: Call("POST", path, _renamed_page, body={"new_user_id": new_user_id})
    )


def read_user_budget(user_id: str) -> Call[UserBudget]:
    """Say what a user may spend, and has spent."""
    path = below_name("/admin/users", user_id, "budget")
    return Call("GET", path, shown_as(UserBudget))


def read_deployment_budget() -> Call[DeploymentBudget]:
    """Say what all users together may spend, and have spent."""
    return Call("GET", "/admin/budget", shown_as(DeploymentBudget))


def set_user_budget(
    user_id: str,
    *,
    tokens_per_day: int | None = None,
    tokens_per_month: int | None = None,
    usd_per_day: Decimal | str | None = None,
    usd_per_month: Decimal | str | None = None,
) -> Call[UserBudget]:
    """Let one user spend more, or less, than the settings say; at once, for turns that run too.

    Args:
        user_id: Whom.
        tokens_per_day: In a day of UTC; with 0 nothing may begin, and None is what the settings
            say.
        tokens_per_month: The same, in a month.
        usd_per_day: US dollars in a day; at most 9 places.
        usd_per_month: The same, in a month.
    """
    path = below_name("/admin/users", user_id, "budget")
    body: dict[str, Any] = {
        "tokens_per_day": tokens_per_day,
        "tokens_per_month": tokens_per_month,
    }
    # An older API knows of no dollars.
    usd = {"usd_per_day": usd_per_day, "usd_per_month": usd_per_month}
    # Text is left to the API, which says what is wrong with it.
    body |= {
        name: amount if isinstance(amount, str) else f"{Decimal(amount):f}"
        for name, amount in usd.items()
        if amount is not None
    }
    return Call("PUT", path, shown_as(UserBudget), body=body)


def remove_user_budget(user_id: str) -> Call[UserBudget]:
    """Let a user spend what the settings say again."""
    path = below_name("/admin/users", user_id, "budget")
    return Call("DELETE", path, shown_as(UserBudget))


def export_user(user_id: str) -> Series[dict[str, Any]]:
    """Return all that there is of a user, one object at a time; `type` says what each is."""
    path = below_name("/admin/users", user_id, "export")
    return Series(lambda cursor: Call("GET", path, _exported_page, query={"cursor": cursor}))


def _cleanup_page(response: httpx.Response) -> Page[CleanupReport]:
    report = CleanupReport.model_validate_json(response.content)
    return Page(items=(report,), next_cursor=None if report.done else report.next_cursor)


def _erased_page(response: httpx.Response) -> Page[Erasure]:
    erased = Erasure.model_validate_json(response.content)
    # There is no place to go on from: the same call finds what is left.
    return Page(items=(erased,), next_cursor=None if erased.done else "")


def _renamed_page(response: httpx.Response) -> Page[Renaming]:
    renamed = Renaming.model_validate_json(response.content)
    # What is left has an open turn, which may wait for days: asking again changes nothing.
    over = renamed.done or (renamed.waiting > 0 and renamed.sessions == 0)
    return Page(items=(renamed,), next_cursor=None if over else "")


def _exported_page(response: httpx.Response) -> Page[dict[str, Any]]:
    # Not splitlines(), which takes more characters for line ends than JSON lines has.
    lines = response.content.decode().split("\n")
    objects = tuple(json.loads(line) for line in lines if line)
    return Page(items=objects, next_cursor=response.headers.get("Next-Cursor"))
