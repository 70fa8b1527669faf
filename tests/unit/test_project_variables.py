"""The variables of a project's own code: there before the first of its modules is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.agents import registry
from parley.config import load_settings
from parley.errors import MissingSetting, StoreUnavailable
from parley.manifest import Manifest, Offer, Variable
from parley.project_variables import fill_environment
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
