"""`deploy/env.sh` changes one line of `.env` as one step, and shows secrets to nobody."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.files import ROOT

WRITTEN = "# Keys\nSECRET_KEY=one two\nREDIS_PASSWORD=a&b\\1\n# LLM_MODEL=gpt\nSECRET_KEY=later\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy/env.sh", tmp_path / "deploy")
    (tmp_path / ".env").write_text(WRITTEN)
    (tmp_path / ".env").chmod(0o600)
    return tmp_path


def env(checkout: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = ["sh", str(checkout / "deploy/env.sh"), *arguments]
    return subprocess.run(command, cwd="/", input=stdin, capture_output=True, text=True, check=False)


def text(checkout: Path) -> str:
    return (checkout / ".env").read_text()


def test_a_value_is_read_as_the_server_reads_it(checkout: Path) -> None:
    # The last line with a name wins.
    assert env(checkout, "get", "SECRET_KEY").stdout == "later\n"
    assert env(checkout, "get", "REDIS_PASSWORD").stdout == "a&b\\1\n"
    assert env(checkout, "get", "LLM_MODEL").stdout == ""


def test_a_value_is_set_where_it_stood_and_once(checkout: Path) -> None:
    done = env(checkout, "set", "SECRET_KEY", stdin="new & \\1 'quoted' $value\n")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert text(checkout) == ("# Keys\nSECRET_KEY=new & \\1 'quoted' $value\nREDIS_PASSWORD=a&b\\1\n# LLM_MODEL=gpt\n")
    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600


def test_a_value_that_was_not_there_is_added_at_the_end(checkout: Path) -> None:
    env(checkout, "set", "LLM_MODEL", stdin="other")

    assert text(checkout) == f"{WRITTEN}LLM_MODEL=other\n"


def test_a_value_is_removed(checkout: Path) -> None:
    env(checkout, "unset", "SECRET_KEY")

    assert text(checkout) == "# Keys\nREDIS_PASSWORD=a&b\\1\n# LLM_MODEL=gpt\n"


def test_two_values_are_exchanged_in_one_step(checkout: Path) -> None:
    env(checkout, "swap", "SECRET_KEY", "REDIS_PASSWORD")

    assert env(checkout, "get", "SECRET_KEY").stdout == "a&b\\1\n"
    assert env(checkout, "get", "REDIS_PASSWORD").stdout == "later\n"


def test_a_fresh_secret_is_another_one_each_time(checkout: Path) -> None:
    made = {env(checkout, "new").stdout for _ in range(3)}

    assert len(made) == 3
    assert all(re.fullmatch(r"[0-9a-f]{48}\n", each) for each in made)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("set",),
        ("set", "A-B"),
        ("set", "SECRET_KEY"),
        ("swap", "SECRET_KEY", "LLM_MODEL"),
        ("get", "a b"),
        ("what",),
    ],
)
def test_what_cannot_be_done_changes_nothing(checkout: Path, arguments: tuple[str, ...]) -> None:
    done = env(checkout, *arguments)

    assert done.returncode != 0
    assert done.stderr.startswith("error: ")
    assert text(checkout) == WRITTEN
    assert not (checkout / ".env.new").exists()
