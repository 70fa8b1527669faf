"""Parley from a wheel, in an environment and a folder that have nothing of its source."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from parley_local.cloudformation import load
from parley_local.data_directory import read_address
from parley_local.postgres import EmbeddedPostgres
from parley_testing.account.moto import Account
from parley_testing.packaged.deployment import Deployment
from parley_testing.packaged.emulator import architecture
from parley_testing.packaged.packages import unpack
from parley_testing.packaged.wheels import source_tree, wheel
from parley_testing.postgres.databases import connect
from parley_testing.waiting import HANG_SECONDS, wait_for

ROOT = Path(__file__).parents[2]
_PACKAGES = ("UV_", "SSL_", "REQUESTS_", "HTTP_", "HTTPS_", "http_", "https_")
UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and a folder to work in."""

    bin: Path
    folder: Path
    cache: str

    @property
    def environ(self) -> dict[str, str]:
        """What a shell with this environment has, and nothing of this process's own."""
        return {
            "PATH": f"{self.bin}{os.pathsep}{os.defpath}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
            # Where packages come from is this machine's matter.
            "UV_CACHE_DIR": self.cache,
            **{name: value for name, value in os.environ.items() if name.startswith(_PACKAGES)},
        }

    def run(
        self, *command: str, within: str = ".", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of its programs in the folder, or in one below it."""
        return subprocess.run(
            [self.bin / command[0], *command[1:]],
            cwd=self.folder / within,
            env=self.environ | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A folder that is not pytest's: each run closes those to others, as whom Postgres may run."""
    with TemporaryDirectory(prefix="parley-installed-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def installed(made: Path) -> Installed:
    """The wheel in a fresh environment, with the versions of the lock file beside it."""
    bin_, requirements = made / "venv" / "bin", made / "requirements.txt"
    _uv("build", "--wheel", "--out-dir", made / "dist", ROOT)
    (wheel,) = (made / "dist").glob("*.whl")
    _uv("venv", "--no-project", "--python", sys.executable, bin_.parent)
    _uv(
        "export", "--project", ROOT, "--frozen", "--no-emit-project", "--no-default-groups",
        "--extra", "deploy", "--output-file", requirements,
    )  # fmt: skip
    into = ("pip", "install", "--python", bin_ / "python", "--no-deps")
    _uv(*into, "--requirements", requirements)
    _uv(*into, wheel)
    folder = made / "work"
    folder.mkdir()
    cache = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True)
    return Installed(bin_, folder, cache.stdout.strip())


def _uv(*arguments: str | Path) -> None:
    done = subprocess.run([UV, arguments[0], "--quiet", *arguments[1:]], stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="module")
def project(installed: Installed) -> str:
    """A project that `parley init` has made."""
    done = installed.run("parley", "init", "my-desk")

    assert done.returncode == 0, done.stderr
    assert done.stderr == "Next: cd my-desk && parley dev\n"
    assert "my-desk/my_desk/agent.py" in done.stdout.splitlines()
    return "my-desk"


def test_nothing_is_found_beside_a_checkout(installed: Installed) -> None:
    code = (
        "import parley, parley_backend, parley_cli, parley_client, parley_local, parley_project;"
        "from parley_backend import backend;"
        "print(parley.__file__, parley_cli.__file__, parley_local.__file__, backend(), sep='\\n')"
    )

    places = installed.run("python", "-c", code).stdout.splitlines()

    assert len(places) == 4
    assert all(Path(each).is_relative_to(installed.bin.parent) for each in places), places


def test_it_is_checked_served_and_answers(installed: Installed, project: str) -> None:
    checked = installed.run("parley", "check", within=project)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == "todo can be built, and is the default\n"

    root = installed.folder / project
    with (root / "dev.log").open("w") as log:
        dev = subprocess.Popen(
            [installed.bin / "parley", "dev", "--port", "0"],
            cwd=root, env=installed.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_for(lambda: dev.poll() is not None or read_address(root / ".parley") is not None)
        said = (root / "dev.log").read_text()
        assert dev.poll() is None, said
        # The migration of its own table has run, and its tool writes there.
        added = installed.run(
            "parley", "message", "add buy milk", "--session", "home", within=f"{project}/tests"
        )
        listed = installed.run(
            "parley", "message", "what do I have", "--session", "home", within=project
        )
    finally:
        dev.send_signal(signal.SIGINT)
        ended = dev.wait(HANG_SECONDS)

    said = (root / "dev.log").read_text()
    assert (added.stderr, added.stdout) == ("", "[offline model] Added “buy milk”.\n"), said
    assert "buy milk" in listed.stdout
    assert 'parley message "add buy milk" --session groceries\n' in said
    assert ended == 0, said


def test_its_own_tests_pass_and_tell_an_effect_that_happens_twice(
    installed: Installed, project: str
) -> None:
    agent = installed.folder / project / "my_desk" / "agent.py"
    written = agent.read_text()

    passed = installed.run("parley", "test", "-q", within=project)
    agent.write_text(
        written.replace(
            "@effect_tool\ndef add_task(effect: Effect, ", "@function_tool\ndef add_task("
        )
        .replace("from agents import Agent\n", "from agents import Agent, function_tool\n")
        .replace("    effect.db.execute(", "    return title\n    effect.db.execute(", 1)
    )
    failed = installed.run("parley", "test", "-q", "-k", "wherever", within=project)
    agent.write_text(written)

    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert "3 passed" in passed.stdout
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "The tool add_task ran 2 times." in failed.stdout


def test_its_packages_run_its_agent_with_its_own_dependency_and_table(
    installed: Installed, project: str, made: Path, account: Account, wakeups: str,
    postgres: EmbeddedPostgres, tmp_path: Path,
) -> None:  # fmt: skip
    file = installed.folder / project / "pyproject.toml"
    wheel(made / "wheels", "shop_prices", "1.0", {"shop_prices.py": "PRICE = 3\n"})
    source_tree(
        file.parent / "shop",
        "shop",
        {"__init__.py": "from shop_prices import PRICE\n"},
        "shop-prices",
    )
    text = file.read_text()
    text += '\n[tool.uv.sources]\nshop = { path = "shop", editable = true }\n'
    file.write_text(text.replace('["parley-serverless"]', '["parley-serverless", "shop"]'))
    agent = installed.folder / project / "my_desk" / "agent.py"
    agent.write_text(
        agent.read_text().replace("Added “{title}”.", "{__import__('shop').PRICE} EUR")
    )

    plain = installed.run("parley", "template", within=project).stdout
    assert plain.count("Description: Parley, a serverless backend") == 1
    file.with_name("template.yaml").write_text(
        plain.replace(
            "Description: Parley, a serverless backend", "Description: My desk, a backend"
        )
    )
    text = file.read_text()
    file.write_text(text.replace("[tool.parley]\n", '[tool.parley]\ntemplate = "template.yaml"\n'))

    def built(build: Path) -> dict[str, bytes]:
        done = installed.run(
            "parley", "build", "--architecture", architecture(), "--build-dir", str(build),
            within=project,
            UV_FIND_LINKS=str(made / "wheels"), PARLEY_PYTHON="{}.{}".format(*sys.version_info),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Functions with their layers, unzipped" in done.stdout
        zips = build.with_name(f"{build.name}-zips")
        done = installed.run("python", "-P", "-m", "parley_packages.zips", str(build), str(zips))
        assert done.returncode == 0, done.stderr
        return {zip.stem: sha256(zip.read_bytes()).digest() for zip in zips.glob("*.zip")}

    before = built(tmp_path / "before")
    agent.write_text(agent.read_text().replace(" EUR", " pounds"))
    build = tmp_path / "build"
    after = built(build)

    assert before.keys() == after.keys()
    assert {name for name in after if after[name] != before[name]} == {"ProjectLayer"}
    packages = unpack(build, tmp_path / "build-zips", tmp_path)
    postgres.create_database("installed")
    template = load(packages.built.template)
    assert template["Description"].startswith("My desk, ")
    assert (build / template["Resources"]["Monitor"]["Properties"]["TemplateURL"]).is_file()
    memory: dict[str, Any] = template["Resources"]["MemoryTable"]
    variables = {
        "AWS_ENDPOINT_URL": account.url,
        "DATABASE_SECRET_ARN": account.secret(postgres.url("installed")),
        "DATABASE_RUNTIME_SECRET_ARN": account.secret(postgres.runtime_url("installed")),
        "OPENAI_SECRET_ARN": "",
        "OFFLINE_MODEL": "true",
        "AGENT_SESSION_TABLE": account.table(memory["Properties"]),
        "WAKE_QUEUE_URL": wakeups,
    }
    (tmp_path / "logs").mkdir()
    with Deployment(packages, variables, tmp_path / "logs") as deployment:
        assert "revision" in deployment["Migrate"].invoke({"action": "migrate"}).json
        answer = deployment.send("POST", "/messages", {"text": "add buy milk"})
        agents = deployment.send("GET", "/agents")

    assert answer.status == 201, answer
    assert answer.json["reply"]["content"] == "[offline model] 3 pounds"
    assert [each["name"] for each in agents.json["items"]] == ["todo"]
    with connect(postgres.url("installed")) as connection:
        rows = connection.execute("SELECT title FROM my_desk_tasks").fetchall()
    assert rows == [("buy milk",)]
