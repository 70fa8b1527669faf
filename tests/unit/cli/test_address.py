"""Which API the command talks to, and which token it may send there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jwt
import pytest

from parley_cli.address import DATA_DIR, find_target, same_place
from parley_cli.errors import CommandFailed
from parley_local.data_directory import Address, published

DEV = "http://127.0.0.1:3000"


def user_of(token: str) -> str:
    user: str = jwt.decode(token, options={"verify_signature": False})["sub"]
    return user


def test_make_dev_is_found_by_what_it_announced(tmp_path: Path) -> None:
    with published(tmp_path, Address(DEV, os.getpid())):
        target = find_target({}, url=None, data_dir=tmp_path, user=None)

    assert target.url == DEV
    assert user_of(target.token) == "local"


def test_without_make_dev_and_without_an_address_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="parley dev is not running"):
        find_target({}, url=None, data_dir=tmp_path, user=None)


def test_it_says_where_it_looked_and_how_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / DATA_DIR).mkdir()

    with pytest.raises(CommandFailed, match="--data-dir") as failed:
        find_target({}, url=None, data_dir=DATA_DIR, user=None)

    assert f"not running on {tmp_path / DATA_DIR}." in str(failed.value)


def test_a_make_dev_that_was_killed_does_not_run(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    with (
        published(tmp_path, Address(DEV, ended.pid)),
        pytest.raises(CommandFailed, match="parley dev is not running"),
    ):
        find_target({}, url=None, data_dir=tmp_path, user=None)


def test_the_given_address_goes_before_the_environment(tmp_path: Path) -> None:
    environ = {"PARLEY_URL": "https://b.example", "PARLEY_TOKEN": "t"}

    assert find_target(environ, url="https://a.example/v1/", data_dir=tmp_path, user=None).url == (
        "https://a.example/v1"
    )
    assert find_target(environ, url=None, data_dir=tmp_path, user=None).url == "https://b.example"


def test_the_environments_token_is_used_unless_a_user_is_named(tmp_path: Path) -> None:
    with published(tmp_path, Address(DEV, os.getpid())):
        own = find_target({"PARLEY_TOKEN": "t"}, url=None, data_dir=tmp_path, user=None)
        alice = find_target({"PARLEY_TOKEN": "t"}, url=None, data_dir=tmp_path, user="alice")

    assert own.token == "t"
    assert user_of(alice.token) == "alice"


@pytest.mark.parametrize(
    "url", ["https://a.example", "http://127.0.0.1:3001", "http://10.0.0.1:3000"]
)
def test_a_local_token_goes_nowhere_but_to_make_dev(tmp_path: Path, url: str) -> None:
    with (
        published(tmp_path, Address(DEV, os.getpid())),
        pytest.raises(CommandFailed, match="Set PARLEY_TOKEN"),
    ):
        find_target({}, url=url, data_dir=tmp_path, user="alice")


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:3000", "ftp://a.example", "http://", "http://a:b", "http://[::1", "http://a b"],
)
def test_what_is_no_address_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(CommandFailed):
        find_target({"PARLEY_TOKEN": "t"}, url=url, data_dir=tmp_path, user=None)


def test_loopback_is_one_place_by_any_of_its_names() -> None:
    assert same_place("http://localhost:3000/", DEV)
    assert not same_place("http://localhost:3001", DEV)
    assert not same_place("https://localhost:3000", DEV)
