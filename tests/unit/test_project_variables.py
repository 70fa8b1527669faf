"""The variables of a project's own code: there before the first of its modules is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from parley import project_variables
from parley.agents import registry
from parley.config import load_settings
from parley.errors import MissingSetting, StoreUnavailable
from parley.manifest import Manifest, Offer, Variable
from parley.project_variables import MAX_AGE_SECONDS, fill_environment, renew_environment
from parley.secrets import Secret
from parley_testing import projects

CODE = "import os\nread = os.environ['BISTRO_KEY'], os.environ['BISTRO_MODE']\nagent = object()\n"
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:bistro"


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ARNs that were fetched."""
    arns: list[str] = []

    def fetch(self: Secret) -> str:
        arns.append(self._arn)
        return "a secret"

    monkeypatch.setattr(Secret, "value", property(fetch))
    return arns


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test moves."""
    clock = [1_000.0]
    monkeypatch.setattr(project_variables, "time", SimpleNamespace(time=lambda: clock[0]))
    return clock


@pytest.fixture(autouse=True)
def nothing_fetched_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_variables, "_fetched", {})


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "bistro_code.py").write_text(CODE)
    for name in ("BISTRO_KEY", "BISTRO_KEY_SECRET_ARN", "BISTRO_MODE", "BISTRO_EXTRA"):
        monkeypatch.setenv(name, "")  # and so it is put back in the end
    variables = (
        Variable("BISTRO_KEY", secret=True),
        Variable("BISTRO_MODE", required=False, default="usual"),
        Variable("BISTRO_EXTRA", required=False),
    )
    offers = {"host": Offer("x", "bistro_code:agent")}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        projects.offer(patch, Manifest(offers, "host", environment=variables))
        yield
    projects.forget()
    sys.modules.pop("bistro_code", None)


def test_a_secret_is_fetched_before_the_module_is_imported(
    fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BISTRO_KEY_SECRET_ARN", ARN)
    load_settings("project")
    assert fetched == []

    registry.load("host")
    fill_environment()

    assert sys.modules["bistro_code"].read == ("a secret", "usual")
    assert fetched == [ARN]


def test_what_is_set_goes_before_the_secret_and_the_default(
    fetched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BISTRO_KEY_SECRET_ARN", ARN)
    monkeypatch.setenv("BISTRO_KEY", "mine")
    monkeypatch.setenv("BISTRO_MODE", "other")

    registry.load("host")

    assert sys.modules["bistro_code"].read == ("mine", "other")
    assert fetched == []
    assert not os.environ["BISTRO_EXTRA"]


def test_one_that_is_missing_stops_the_start_with_its_name() -> None:
    with pytest.raises(MissingSetting, match="BISTRO_KEY or BISTRO_KEY_SECRET_ARN"):
        load_settings("project")


def test_a_secret_that_cannot_be_had_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BISTRO_KEY_SECRET_ARN", ARN)

    def away(self: Secret) -> str:
        raise StoreUnavailable("secrets", "away")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Secret, "value", property(away))
        with pytest.raises(StoreUnavailable):
            registry.load("host")
    monkeypatch.setattr(Secret, "value", property(lambda self: "a secret"))

    registry.load("host")

    assert sys.modules["bistro_code"].read[0] == "a secret"


def test_a_secret_that_was_rotated_is_had_within_five_minutes(
    monkeypatch: pytest.MonkeyPatch, now: list[float]
) -> None:
    kept = {"secret": "before"}
    monkeypatch.setattr(Secret, "value", property(lambda self: kept["secret"]))
    monkeypatch.setenv("BISTRO_KEY_SECRET_ARN", ARN)
    fill_environment()
    kept["secret"] = "after"

    read = []
    for seconds in (MAX_AGE_SECONDS - 1, 1):
        now[0] += seconds
        renew_environment()
        read.append(os.environ["BISTRO_KEY"])

    assert read == ["before", "after"]


def test_one_that_cannot_be_had_again_stays_and_is_not_asked_for_at_every_turn(
    monkeypatch: pytest.MonkeyPatch, now: list[float], fetched: list[str]
) -> None:
    monkeypatch.setenv("BISTRO_KEY_SECRET_ARN", ARN)
    fill_environment()
    tries = []

    def away(self: Secret) -> str:
        tries.append(now[0])
        raise StoreUnavailable("secrets", "away")

    monkeypatch.setattr(Secret, "value", property(away))
    for _ in range(3):
        now[0] += MAX_AGE_SECONDS / 2 + 1
        renew_environment()

    assert os.environ["BISTRO_KEY"] == "a secret"
    assert len(tries) == 1


def test_what_the_shell_has_set_is_never_fetched(
    monkeypatch: pytest.MonkeyPatch, now: list[float], fetched: list[str]
) -> None:
    monkeypatch.setenv("BISTRO_KEY_SECRET_ARN", ARN)
    monkeypatch.setenv("BISTRO_KEY", "mine")
    fill_environment()
    now[0] += 2 * MAX_AGE_SECONDS

    renew_environment()

    assert (os.environ["BISTRO_KEY"], fetched) == ("mine", [])
