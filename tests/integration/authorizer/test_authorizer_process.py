"""The authorizer as a process: what it needs to start, what it loads, whom it believes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from parley_local import issuer as local_issuer
from parley_testing.waiting import HANG_SECONDS

if TYPE_CHECKING:
    from types import ModuleType

    import pytest
    from tests.integration.authorizer.conftest import Authorize, Issuer

FOLDER = Path(__file__).resolve().parents[3] / "functions" / "authorizer"


def start(code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run code where the function's folder is the root and only these settings are made."""
    environment = {name: value for name, value in os.environ.items() if "OIDC" not in name}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=FOLDER,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1", **settings},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )


def test_it_loads_neither_the_agents_sdk_nor_a_database_driver() -> None:
    code = "import app, json, sys; print(json.dumps(sorted(sys.modules)))"

    done = start(code, OIDC_ISSUER="https://issuer.example.com", OIDC_AUDIENCE="parley")

    loaded = set(json.loads(done.stdout))
    assert "jwt" in loaded
    assert not loaded & {"agents", "openai", "boto3", "sqlalchemy", "psycopg", "alembic"}


def test_a_missing_setting_stops_it_at_init_with_the_settings_name() -> None:
    done = start("import app", OIDC_ISSUER="https://issuer.example.com")

    assert done.returncode != 0
    assert "OIDC_AUDIENCE" in done.stderr


def test_it_believes_the_local_issuer(
    issuer: Issuer,
    app: ModuleType,
    authorize: Authorize,
    issuer_keys: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    issuer.answer = (200, json.dumps(local_issuer.jwks(tmp_path)).encode())
    verifier = type(app.verifier)(
        issuer=local_issuer.ISSUER,
        audience=local_issuer.AUDIENCE,
        keys=issuer_keys.IssuerKeys(local_issuer.ISSUER, issuer.jwks_url),
    )
    monkeypatch.setattr(app, "verifier", verifier)

    answer = authorize(local_issuer.issue_token(tmp_path, "auth0|alice", admin=True))

    assert answer["context"]["user_id"] == "auth0|alice"
    assert answer["context"]["scopes"] == "parley:admin"
