"""What Compose makes of the file with each profile. It asks no engine, and starts nothing."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.docker import Docker
from tests.deployment.errors import NoEngineError
from tests.deployment.packages import install_programs, unpack_plugins
from tests.deployment.stack import copy_of_the_checkout

pytestmark = pytest.mark.deployment

WATCHERS = {"prometheus", "jaeger", "grafana"}
Rendered = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def rendered(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """What `docker compose config` says, with these profiles and with settings beside those of `make env`."""
    try:
        install_programs()
        docker = Docker({"DOCKER_CONFIG": str(unpack_plugins(cache))})
    except NoEngineError as error:
        pytest.fail(str(error), pytrace=False)
    folder = tmp_path_factory.mktemp("profiles")
    copy_of_the_checkout(folder)
    subprocess.run(["sh", "deploy/make_env.sh"], cwd=folder, check=True, capture_output=True)

    def render(*profiles: str, **settings: str) -> dict[str, Any]:
        options = [f"--profile={profile}" for profile in profiles]
        printed = docker("compose", *options, "config", "--format", "json", folder=folder, settings=settings)
        services: dict[str, Any] = json.loads(printed)["services"]
        return services

    return render


def test_without_profiles_nobody_watches_and_nothing_is_simulated(rendered: Rendered) -> None:
    services = rendered()

    assert not (WATCHERS | {"simulator"}) & set(services)
    assert {"proxy", "api", "worker", "migrate", "postgres", "redis", "objects"} <= set(services)


def test_the_profile_observe_adds_the_watchers(rendered: Rendered) -> None:
    services = rendered("observe", METRICS_TOKEN="new,old", WORKER_METRICS_PORT="9200", GRAFANA_PORT="3001")

    assert set(services) - set(rendered()) >= WATCHERS
    assert services["prometheus"]["environment"]["METRICS_TOKEN"] == "new,old"
    # Compose leaves to the container's shell what is the shell's.
    assert "$${METRICS_TOKEN%%,*}" in services["prometheus"]["command"][0]
    assert services["worker"]["environment"]["WORKER_METRICS_PORT"] == "9200"
    [port] = services["grafana"]["ports"]
    assert (port["host_ip"], port["published"]) == ("127.0.0.1", "3001")


def test_profiles_add_up(rendered: Rendered) -> None:
    assert {*WATCHERS, "simulator"} <= set(rendered("observe", "simulator"))
