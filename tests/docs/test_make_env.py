"""`make env` writes a complete `.env`, with secrets that nobody else has, and never over an existing one."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from devstack.config import parse_dotenv
from tests.docs.files import ROOT, read

REQUIRED = re.findall(r"^([A-Z][A-Z0-9_]*)=$", read(".env.example"), re.MULTILINE)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what `make env` uses."""
    (tmp_path / "deploy").mkdir()
    for name in ("deploy/make_env.sh", ".env.example", "Makefile"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make_env(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # No environment is made, and the folder is not that of the script.
    command = ["make", "-s", "-C", str(checkout), "env", *arguments]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)


def written(checkout: Path) -> dict[str, str]:
    return parse_dotenv((checkout / ".env").read_text())


def test_every_required_setting_gets_a_secret_of_its_own(checkout: Path) -> None:
    done = make_env(checkout)

    assert done.returncode == 0, done.stderr
    secrets = [written(checkout)[name] for name in REQUIRED]
    assert len(secrets) >= 5
    assert len(set(secrets)) == len(secrets)
    assert all(re.fullmatch(r"[0-9a-f]{48}", secret) for secret in secrets)


def test_two_runs_have_no_secret_in_common(checkout: Path) -> None:
    make_env(checkout)
    first = written(checkout)
    (checkout / ".env").unlink()
    make_env(checkout)

    assert not set(first.values()) & set(written(checkout).values())


def test_only_its_owner_reads_the_file(checkout: Path) -> None:
    make_env(checkout)

    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("existing", ["POSTGRES_PASSWORD=of-the-volume\n", ""])
def test_an_existing_file_stays_as_it_is(checkout: Path, existing: str) -> None:
    (checkout / ".env").write_text(existing)

    done = make_env(checkout)

    assert done.returncode != 0
    assert "exists already" in done.stderr
    assert (checkout / ".env").read_text() == existing


def test_a_link_is_not_written_through(checkout: Path) -> None:
    (checkout / ".env").symlink_to(checkout / "elsewhere")

    assert make_env(checkout).returncode != 0
    assert not (checkout / "elsewhere").exists()


def test_the_rest_of_the_file_is_that_of_the_example(checkout: Path) -> None:
    make_env(checkout)

    text = re.sub(rf"^({'|'.join(REQUIRED)})=.*$", r"\1=", (checkout / ".env").read_text(), flags=re.MULTILINE)
    assert text == read(".env.example")


def test_for_a_trial_the_vendors_are_simulated(checkout: Path) -> None:
    done = make_env(checkout, "SIMULATOR=1")

    settings = written(checkout)
    assert settings["COMPOSE_PROFILES"] == "simulator"
    assert settings["LLM_BASE_URL"] == "http://simulator:9000/openai/v1"
    assert settings["REPLICATE_API_TOKEN"] == "simulated"
    assert all(settings[name] for name in REQUIRED)
    assert "docker compose up" in done.stdout


def test_what_to_fill_in_next_is_said(checkout: Path) -> None:
    printed = make_env(checkout).stdout

    for name in ("LLM_API_KEY", "LLM_MODEL", "REPLICATE_API_TOKEN", "PUBLIC_URL"):
        assert name in printed
    assert not any(secret in printed for secret in written(checkout).values() if len(secret) == 48)
