"""What goes into the packages, and in which form."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

import parley
from parley.manifest import Manifest, Offer
from parley_backend import backend
from parley_local.cloudformation import load
from parley_packages.built import Built, read_build
from parley_packages.byte_code import compile_ahead
from parley_packages.install import install
from parley_packages.requirements import group, names, project
from parley_packages.sizes import BUDGETS, LAMBDA_LIMIT, module_sizes, over_budget, over_limit
from parley_packages.slim import slim
from parley_packages.target import PYTHON, Target, UnknownTarget, target_of_environment
from parley_packages.zips import main as zips_of_build
from parley_packages.zips import make_zip
from parley_project.project import Project

ROOT = backend()
TEMPLATE = load(ROOT / "template.yaml")
BUILT_BY_MAKE = {
    name: resource["Properties"]
    for name, resource in TEMPLATE["Resources"].items()
    if resource.get("Metadata", {}).get("BuildMethod") == "makefile"
}


def write(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"# {path}\n")


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_the_shared_layer_has_what_the_project_needs_but_for_what_the_runtime_has() -> None:
    shared = names(project())

    assert {"sqlalchemy", "psycopg", "psycopg-binary", "pydantic", "jmespath"} <= set(shared)
    assert not {"boto3", "botocore", "s3transfer", "python-dateutil", "six"} & set(shared)


@pytest.mark.parametrize(
    ("group_name", "without", "wanted"),
    [
        ("agents", ["cryptography"], {"openai-agents", "openai", "mcp", "starlette", "uvicorn"}),
        ("authorizer", [], {"pyjwt", "cryptography"}),
        ("migrate", [], {"alembic", "mako", "markupsafe"}),
    ],
)
def test_a_group_is_without_what_the_shared_layer_has(
    group_name: str, without: list[str], wanted: set[str]
) -> None:
    own = set(names(group(group_name, without)))

    assert wanted <= own
    assert not own & set(names(project()))
    assert not own & {*without, "boto3", "botocore"}


def test_every_dependency_is_locked_and_hashed() -> None:
    for text in (project(), group("agents")):
        for name in names(text):
            assert re.search(rf"^{re.escape(name)}==\S+.* \\\n    --hash=sha256:", text, re.M)


def test_what_no_function_reads_is_taken_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        "thing/__init__.py", "thing/data.json", "thing/fast.so", "thing/bin/__init__.py",
        "thing/tests/test_it.py", "thing/__init__.pyi", "thing/fast.pyx", "bin/run",
        "thing/__pycache__/__init__.cpython-39.pyc", ".lock",
    )  # fmt: skip

    slim(tmp_path)

    assert files(tmp_path) == {
        "thing/__init__.py", "thing/data.json", "thing/fast.so", "thing/bin/__init__.py"
    }  # fmt: skip


def test_of_a_distribution_there_stays_what_says_its_version(tmp_path: Path) -> None:
    described = tmp_path / "thing-1.0.dist-info"
    write(described, "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    (described / "METADATA").write_text("Name: thing\nVersion: 1.0\n\n# A long readme\n")

    slim(tmp_path)

    assert files(described) == {"METADATA", "entry_points.txt"}
    assert (described / "METADATA").read_text() == "Name: thing\nVersion: 1.0\n"


def test_byte_code_is_never_checked_against_its_source(tmp_path: Path) -> None:
    (tmp_path / "thing.py").write_text("answer = 42\n")

    compile_ahead(tmp_path, sys.executable, becomes="/var/task")

    (compiled,) = (tmp_path / "__pycache__").iterdir()
    assert compiled.read_bytes()[4:8] == b"\x01\0\0\0"
    assert b"/var/task/thing.py" in compiled.read_bytes()


def test_a_module_that_cannot_be_compiled_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "thing.py").write_text("answer =\n")

    with pytest.raises(Exception, match="compileall"):
        compile_ahead(tmp_path, sys.executable, becomes="/var/task")


def test_a_function_is_its_code_without_its_makefile(tmp_path: Path) -> None:
    source, into = tmp_path / "functions" / "hello", tmp_path / "built"
    write(source, "app.py", "Makefile", "more/data.json", "__pycache__/app.cpython-39.pyc")

    install(source, into, "", Target("arm64", "3.0"))

    assert files(into) == {"app.py", "more/data.json"}


def test_the_sessions_function_carries_what_the_pages_for_people_load(tmp_path: Path) -> None:
    install(ROOT / "functions" / "sessions", tmp_path / "built", "", Target("arm64", "3.0"))

    pages = {f"web/{path}" for path in files(ROOT / "web")}
    assert {"web/chat.html", "web/chat/main.js", "web/vendor/marked.esm.js"} <= pages
    assert {path for path in files(tmp_path / "built") if path.startswith("web/")} == pages


def test_the_code_of_a_layer_lies_in_a_folder_named_python(tmp_path: Path) -> None:
    install(tmp_path / "layers" / "shared", tmp_path / "built", "", Target("arm64", "3.0"))

    made = files(tmp_path / "built")
    assert {"python/parley/__init__.py", "python/parley/py.typed"} <= made
    assert all(path.startswith("python/parley/") for path in made)
    assert (Path(parley.__file__).parent / "testing" / "__init__.py").exists()
    assert not [path for path in made if path.startswith("python/parley/testing")]


def test_the_layer_of_a_project_has_the_manifest_and_its_packages_with_their_data(
    tmp_path: Path,
) -> None:
    into, own = tmp_path / "built", tmp_path / "own"
    write(own, "shop/agents.py", "shop/prices.csv", "shop/__pycache__/a.pyc", "weather.py", "no.py")
    manifest = Manifest({"desk": Offer("Helps.", "shop.agents:desk")}, "desk")
    packages = (own / "shop", own / "weather.py")
    offered = Project(own / "pyproject.toml", manifest, own, packages)

    install(tmp_path / "layers" / "project", into, "", Target("arm64", "3.0"), offered)

    assert files(into / "python") == {
        "parley_manifest.py",
        "shop/agents.py",
        "shop/prices.csv",
        "weather.py",
    }


def test_what_migrates_has_the_project_s_migrations_where_the_manifest_says(
    tmp_path: Path,
) -> None:
    own = tmp_path / "own"
    write(own, "migrations/one.py", "migrations/__pycache__/one.pyc", "shop.py")
    manifest = Manifest({"desk": Offer("x", "shop:desk")}, "desk", migrations="migrations")
    project = Project(own / "pyproject.toml", manifest, own, (own / "shop.py",))
    target = Target("arm64", "3.0")

    install(
        ROOT / "functions" / "migrate", tmp_path / "migrate", "", target,
        migrations=project.migrations,
    )  # fmt: skip
    install(tmp_path / "layers" / "project", tmp_path / "layer", "", target, project)

    written = (tmp_path / "layer" / "python" / "parley_manifest.py").read_text()
    (folder,) = re.findall(r"migrations='(.*?)'", written)
    assert files(tmp_path / "migrate" / folder) == {"one.py"}


def test_a_zip_is_the_same_whoever_makes_it_and_when(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write(tmp_path / folder, *(["b.py", "a.py"] if folder == "one" else ["a.py", "b.py"]))
    (tmp_path / "two" / "a.py").chmod(0o600)

    for folder in ("one", "two"):
        make_zip(tmp_path / folder, tmp_path / f"{folder}.zip")

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with ZipFile(tmp_path / "one.zip") as made:
        assert {entry.date_time[0] for entry in made.infolist()} == {1980}


def test_each_package_of_a_build_is_zipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "template.yaml").write_text(
        "Resources: {Own: {Type: AWS::Serverless::LayerVersion},"
        " One: {Type: AWS::Serverless::Function, Properties: {}}}"
    )
    write(tmp_path / "Own" / "python", "a.py")
    write(tmp_path / "One", "app.py")
    zips = tmp_path / "zips"
    write(zips, "Gone.zip")
    monkeypatch.setattr(sys, "argv", ["zips", str(tmp_path), str(zips)])

    zips_of_build()

    assert {path.name: ZipFile(path).namelist() for path in zips.iterdir()} == {
        "Own.zip": ["python/a.py"], "One.zip": ["app.py"],
    }  # fmt: skip
    assert f"{zips / 'One.zip'}  0.0 MB" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variables", "target", "platform"),
    [
        ({}, Target("arm64", PYTHON), "aarch64-manylinux_2_28"),
        (
            {"ARCH": "x86_64", "PARLEY_PYTHON": "3.11"},
            Target("x86_64", "3.11"),
            "x86_64-manylinux_2_28",
        ),
    ],
)
def test_the_environment_says_what_is_built_for(
    variables: dict[str, str], target: Target, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ARCH", "PARLEY_PYTHON"):
        monkeypatch.setenv(name, variables.get(name, ""))

    assert target_of_environment() == target
    assert target.platform == platform


@pytest.mark.parametrize("name", ["ARCH", "PARLEY_PYTHON"])
def test_what_nothing_can_be_built_for_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "riscv")

    with pytest.raises(UnknownTarget, match=f"{name} is riscv"):
        target_of_environment()


def test_this_machines_python_is_found_by_its_version_and_no_other() -> None:
    own = Target("arm64", "{}.{}".format(*sys.version_info))

    assert own.interpreter() == sys.executable
    assert Target("arm64", "3.0").interpreter() is None


def test_a_function_over_its_budget_is_named() -> None:
    sizes = {name: budget for name, budget in BUDGETS.items()}

    assert over_budget(sizes) == []
    (fault,) = over_budget(sizes | {"Sessions": BUDGETS["Sessions"] + 1})
    assert fault.startswith("Sessions has ")


def test_only_what_lambda_refuses_fails_a_build_and_is_named_with_what_is_large_in_it(
    tmp_path: Path,
) -> None:
    folders = {name: tmp_path / name for name in (*BUDGETS, "AgentsLayer")}
    write(tmp_path, *(f"{name}/app.py" for name in BUDGETS), "AgentsLayer/python/thing.so")
    (tmp_path / "AgentsLayer/python/thing.so").write_bytes(b"." * 2_000_000)
    layers: dict[str, tuple[str, ...]] = {
        name: ("AgentsLayer",) if name == "Worker" else () for name in BUDGETS
    }
    built = Built(tmp_path, folders, layers, dict.fromkeys(BUDGETS, 1))
    larger = {name: budget + 50_000_000 for name, budget in BUDGETS.items()}

    assert over_limit(built, larger) == []  # as with numpy and pandas in the layer of the agents
    (fault,) = over_limit(built, larger | {"Worker": LAMBDA_LIMIT + 1})
    assert fault == (
        "Worker has 262.1 MB with its layers (Worker 0.0 MB, AgentsLayer 2.0 MB); Lambda takes"
        " 262.1 MB. The largest in it: thing 2.0 MB."
    )


def test_a_function_with_more_layers_than_lambda_takes_fails_a_build() -> None:
    layers = tuple(f"Layer{number}" for number in range(1, 5))
    built = Built(Path(), {}, {"Stream": layers}, {"Stream": 1})

    assert over_limit(built, {}) == []
    (fault,) = over_limit(replace(built, others={"Stream": 2}), {})
    assert fault == (
        "Stream has 6 layers (Layer1, Layer2, Layer3, Layer4 and 2 that AWS serves); Lambda takes"
        " 5."
    )


def test_sizes_are_by_module_with_the_small_ones_together(tmp_path: Path) -> None:
    for path, size in {
        "python/large/a.py": 300_000, "python/large.libs/b.so": 400_000, "python/small.py": 1_000,
        "python/large-1.0.dist-info/METADATA": 10_000,
    }.items():  # fmt: skip
        write(tmp_path, path)
        (tmp_path / path).write_bytes(b"." * size)

    assert module_sizes(tmp_path) == {"large": 700_000, "other": 11_000}


def test_a_function_carries_the_layers_of_all_and_its_own(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text("""
        Globals: {Function: {Layers: [!Ref Common]}}
        Resources:
          Own: {Type: AWS::Serverless::LayerVersion}
          Common: {Type: AWS::Serverless::LayerVersion}
          One: {Type: AWS::Serverless::Function, Properties: {}}
          Two:
            Type: AWS::Serverless::Function
            Properties: {Layers: [!Sub "arn:${AWS::Region}:layer:1", !Ref Own]}
    """)

    built = read_build(tmp_path)

    assert built.layers == {"One": ("Common",), "Two": ("Common", "Own")}
    assert built.others == {"One": 0, "Two": 1}


@pytest.mark.parametrize("name", BUILT_BY_MAKE)
def test_the_makefile_of_each_package_builds_it(name: str) -> None:
    properties: dict[str, Any] = BUILT_BY_MAKE[name]
    folder = ROOT / (properties.get("CodeUri") or properties["ContentUri"])

    makefile = (folder / "Makefile").read_text()

    assert f"\nbuild-{name}:\n\t$(package) {folder.relative_to(ROOT)}" in makefile


def test_every_function_and_layer_is_built_by_make() -> None:
    kinds = ("AWS::Serverless::Function", "AWS::Serverless::LayerVersion")

    assert set(BUILT_BY_MAKE) == {
        name for name, resource in TEMPLATE["Resources"].items() if resource["Type"] in kinds
    }


def test_packages_are_built_for_the_python_of_the_template() -> None:
    assert TEMPLATE["Globals"]["Function"]["Runtime"] == f"python{PYTHON}"


def test_the_newest_change_is_of_the_version_that_the_code_has() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    versions = re.findall(r"^## (\d+\.\d+\.\d+)$", changes, re.MULTILINE)
    assert versions[0] == parley.__version__
