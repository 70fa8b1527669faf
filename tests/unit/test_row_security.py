"""Row-level security: what is guarded, and by which words."""

from __future__ import annotations

import pytest

from parley.repository.address import parse_url, service_url
from parley.repository.row_security import GUARDS, policies
from parley.repository.tables import METADATA

TABLES = METADATA.tables


def test_every_table_says_who_may_do_what_with_it() -> None:
    assert set(GUARDS) == {*TABLES, "alembic_version"}


@pytest.mark.parametrize("table", [name for name, made in TABLES.items() if "user_id" in made.c])
def test_a_table_with_a_user_is_bound_to_the_user(table: str) -> None:
    assert list(GUARDS[table].policies) == ["ALL"]


@pytest.mark.parametrize("table", GUARDS)
def test_what_the_run_time_role_may_touch_is_bound_by_a_policy(table: str) -> None:
    guard = GUARDS[table]

    assert bool(guard.rights) == bool(guard.policies)
    if "ALL" not in guard.policies:
        assert set(guard.rights) <= set(guard.policies)


def test_another_rule_is_another_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    before = policies("sessions", "parley_app")
    monkeypatch.setitem(GUARDS["sessions"].policies, "ALL", "USING (false)")

    assert not before.keys() & policies("sessions", "parley_app").keys()
    assert not before.keys() & policies("sessions", "other").keys()


@pytest.mark.parametrize(
    ("user", "service"),
    [("parley_app", "parley_app_service"), ("parley_app.tenant", "parley_app_service.tenant")],
)
def test_the_services_login_stands_beside_the_run_time_role(user: str, service: str) -> None:
    url = parse_url(f"postgresql://{user}:p%40ss@host:6543/name?sslmode=require")

    beside = service_url(url)

    assert beside.username == service
    assert beside.set(username=user) == url


def test_a_url_without_a_user_has_none_beside_it() -> None:
    with pytest.raises(ValueError, match="names no user"):
        service_url(parse_url("postgresql://host/name"))
