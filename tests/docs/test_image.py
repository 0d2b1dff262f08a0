"""Checks without a container engine that the files which `.dockerignore` and the Dockerfile let in are sufficient."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from devstack.servers import EmbeddedServers
from tests.cli.databases import execute, sibling
from tests.docs.files import ROOT, read

ADMITTED = re.findall(r"^!(\S+)$", read(".dockerignore"), re.MULTILINE)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with only those files of the repository that the Dockerfile's builder sees."""
    folder = tmp_path_factory.mktemp("image")
    for name in ADMITTED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", "node_modules")
            )
        else:
            shutil.copy(source, folder)
    return folder


def run(image: Path, arguments: Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the image's folder with the installed packages, but without this checkout on its path."""
    packages = Path(pytest.__file__).parents[1]
    path = f"{image}{os.pathsep}{packages}"
    return subprocess.run(
        # -S: without the site packages, so that a checkout installed in editable mode is not found.
        [sys.executable, "-S", *arguments],
        cwd=image,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_dockerfile_copies_everything_that_dockerignore_lets_in() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", read("Dockerfile"), re.MULTILINE)

    assert read(".dockerignore").splitlines()[1] == "*"
    assert {name for names in copied for name in names.split()} == set(ADMITTED)


def test_every_program_can_be_imported(image: Path) -> None:
    modules = "app.asgi, app.cli.commands, worker.process.main, simulator.main"
    loaded = run(
        image,
        ["-c", f"import {modules}; app.cli.commands.junis(); print(app.__file__, worker.__file__, simulator.__file__)"],
    )

    assert loaded.returncode == 0, loaded.stderr
    assert all(Path(file).is_relative_to(image) for file in loaded.stdout.split())


def test_the_image_holds_the_migrations_and_the_files_that_commands_read(
    image: Path, embedded: EmbeddedServers
) -> None:
    execute(embedded.database_url, "CREATE DATABASE image")

    for command in (["migrate"], ["migrate", "--check"], ["demo"]):
        done = run(image, ["-m", "app.cli", *command], DATABASE_URL=sibling(embedded.database_url, "image"))
        assert done.returncode == 0, done.stderr


def test_the_image_holds_no_development_files(image: Path) -> None:
    refused = run(image, ["-m", "app.cli", "quickstart"])

    assert refused.returncode == 1
    assert "needs a checkout" in refused.stderr
