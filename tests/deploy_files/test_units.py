"""The systemd units: systemd accepts them, and what they start is the product, which ends in the time that it gets."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from app.core.settings import Settings
from devstack import product
from devstack.ports import free_port
from devstack.programs import Program, run_to_end
from devstack.servers import EmbeddedServers
from tests.cli.databases import clone, query
from tests.deploy_files.units import NAMES, in_this_checkout, unit
from tests.docs.compose import services
from tests.docs.files import read
from tests.waiting import PATIENCE, wait_until

# What runs in Python's own environment is found here; a checkout may have it elsewhere.
_JUNIS = Path(sys.executable).with_name("junis")
# The exposure that `systemd-analyze security` finds, in tenths; 100 is that of a service without any restriction.
_MOST_EXPOSED = 15


def program(name: str, environment: Mapping[str, str], folder: Path, **options: str) -> Program:
    """What the unit starts, as a process of the tests, with these settings in the place of the files in /etc."""
    given = {**unit(name).environment, **environment}
    _, *arguments = unit(name).command(given)
    return Program(
        name, (str(_JUNIS), *arguments), product.isolated(given), folder / f"{name}.log", folder=folder, **options
    )


@pytest.fixture
def settings(embedded: EmbeddedServers, tmp_path: Path) -> dict[str, str]:
    # A key space of its own: other workers report in theirs.
    redis_url = urlsplit(embedded.redis_url)._replace(path="/5").geturl()
    return {"REDIS_URL": redis_url, "LOCAL_STORAGE_DIR": str(tmp_path / "objects"), "SECRET_KEY": "seal"}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze: systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *in_this_checkout(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze: systemd is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_a_unit_leaves_little_exposed(name: str, tmp_path: Path) -> None:
    (path,) = [copy for copy in in_this_checkout(tmp_path) if copy.stem == name]
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={_MOST_EXPOSED}", "--no-pager", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_units_start_a_product_that_works_and_stops(
    settings: dict[str, str], embedded: EmbeddedServers, tmp_path: Path
) -> None:
    with clone(embedded.database_url, "template0") as url:
        environment = {**settings, "DATABASE_URL": url}
        run_to_end(program("junis-migrate", environment, tmp_path))
        assert query(url, "SELECT count(*) FROM alembic_version") == [(1,)]

        port = str(free_port())
        api = program("junis-api", {**environment, "PORT": port}, tmp_path, ready_url=f"http://127.0.0.1:{port}/readyz")
        with api.serving(), program("junis-worker", environment, tmp_path).serving() as worker:
            wait_until(lambda: httpx.get(str(api.ready_url), timeout=PATIENCE).json()["worker"] == "ok")
            for running in (api.running, worker.running):
                running.send_signal(getattr(signal, unit("junis-api")["KillSignal"]))
            assert [running.wait(PATIENCE) for running in (api.running, worker.running)] == [0, 0]


def test_a_stop_gets_the_time_that_it_may_take() -> None:
    defaults = Settings.model_fields
    delay, grace = (defaults[f"shutdown_{name}_seconds"].default for name in ("delay", "grace"))

    assert int(unit("junis-api")["TimeoutStopSec"]) >= delay + grace + 20
    for name in ("api", "worker"):
        assert f"{unit(f'junis-{name}')['TimeoutStopSec']}s" == services()[name]["stop_grace_period"]
        # Only the process itself is asked: a child that is killed first would be a crash to it.
        assert unit(f"junis-{name}")["KillMode"] == "mixed"


def test_a_process_has_the_memory_and_the_command_that_it_has_under_compose() -> None:
    for name in NAMES:
        service = services()[name.removeprefix("junis-")]
        (limit,) = re.findall(r"\d+[mg]", service["mem_limit"])
        assert unit(name)["MemoryMax"].lower() == limit
        assert unit(name).command({"HOST": "127.0.0.1", "PORT": "8000"})[1] == service["command"][0]


def test_it_is_restarted_unless_its_settings_are_wrong(tmp_path: Path) -> None:
    for name in NAMES:
        done = subprocess.run(
            [_JUNIS, *unit(name).command({"HOST": "127.0.0.1", "PORT": "0"})[1:]],
            env=product.isolated({"DATABASE_URL": "mysql://nowhere"}),
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert str(done.returncode) == unit(name)["RestartPreventExitStatus"]
    assert {unit(name)["Restart"] for name in ("junis-api", "junis-worker")} == {"always"}


def test_the_owners_file_is_the_migrations_alone() -> None:
    files = {name: {path.removeprefix("-") for path in unit(name).options["EnvironmentFile"]} for name in NAMES}

    assert files == {
        "junis-api": {"/etc/junis/junis.env", "/etc/junis/api.env"},
        "junis-worker": {"/etc/junis/junis.env"},
        "junis-migrate": {"/etc/junis/owner.env"},
    }


def test_the_file_that_only_the_api_gets_is_described() -> None:
    only = re.search(r"^# What only the API needs: (.*)\.$", read("deploy/systemd/junis-api.service"), re.MULTILINE)
    assert only
    named = set(only[1].split(", "))

    assert named == {"LLM_API_KEY", "LLM_UPSTREAMS", "METRICS_TOKEN"}
    assert not named & set(services()["worker"]["environment"])
    assert named <= set(services()["api"]["environment"])
