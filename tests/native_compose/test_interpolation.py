"""What Compose puts in place of settings, by its own rules."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docs.files import ROOT
from tests.native_compose.interpolation import MissingSettingError, environments, interpolated

SET = {"A": "one", "B": "two"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "one"),
        ("${C}", ""),
        ("${C:-}", ""),
        ("${C:-three}", "three"),
        ("${A:-three}/${B}", "one/two"),
        ("${C:-x${A}y${D:-${B}}}z", "xoneytwoz"),
        ("${A:?set it}", "one"),
        ("$${A}", "${A}"),
        ("no $dollar", "no $dollar"),
    ],
)
def test_settings_stand_in_place_of_their_names(text: str, expected: str) -> None:
    assert interpolated(text, SET) == expected


def test_a_setting_that_must_be_set_is_named() -> None:
    with pytest.raises(MissingSettingError, match="C: set it"):
        interpolated("postgresql://x:${C:?set it}@y", SET)


def test_the_services_of_this_checkout_get_what_is_in_env(tmp_path: Path) -> None:
    for name in ("docker-compose.yml", ".env.example", "deploy"):
        (tmp_path / name).symlink_to(ROOT / name)
    subprocess.run(["sh", "-c", "sed s/^SECRET_KEY=$/SECRET_KEY=seal/ .env.example >.env"], cwd=tmp_path, check=True)
    lines = (tmp_path / ".env").read_text().splitlines()
    (tmp_path / ".env").write_text(
        "\n".join(f"{line}pw" if line.endswith("=") and line[0] != "#" else line for line in lines)
    )

    found = environments(tmp_path)

    assert found["api"]["SECRET_KEY"] == "seal"
    assert found["api"]["DATABASE_URL"] == "postgresql://junis_server:pw@postgres:5432/junis"
    assert found["migrate"]["DATABASE_URL"] == "postgresql://junis:pw@postgres:5432/junis"
    assert found["worker"]["REDIS_URL"] == "redis://:pw@redis:6379/0"
    assert "LLM_API_KEY" not in found["worker"]


@pytest.mark.parametrize(("token", "shown"), [("one", "one"), ("new,old", "new"), ("", "")])
def test_prometheus_shows_the_first_of_two_tokens(tmp_path: Path, token: str, shown: str) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    [command] = services["prometheus"]["command"]
    first = interpolated(command.splitlines()[0], {}).partition(">")[0] + ">token"

    subprocess.run(
        ["sh", "-euc", first], cwd=tmp_path, env={"METRICS_TOKEN": token, "PATH": "/usr/bin:/bin"}, check=True
    )

    assert (tmp_path / "token").read_text() == shown
