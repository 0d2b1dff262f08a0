"""What `docker-compose.yml` promises, checked in its text; `make deployment` starts it."""

import re
from typing import Any

import pytest

from app.cli.commands import junis
from tests.docs.compose import compose, services, settings_used
from tests.docs.files import ROOT, read
from tests.docs.reading import settings_read

SERVICES = services()
STORES = {"postgres", "redis", "objects"}
OURS = {"api", "worker", "migrate", "simulator"}
WATCHERS = {"prometheus", "jaeger", "grafana"}
FOREIGN = {"proxy", *STORES, *WATCHERS}
# The modules with which each process begins.
BEGINS_WITH = {
    "api": ("app.asgi", "app.cli.serve", "app.cli.demo"),
    "worker": ("worker.__main__", "app.cli.programs"),
    "migrate": ("app.cli.migrate",),
}
# Compose decides: outputs go to the bucket.
NOT_UNDER_COMPOSE = {"LOCAL_STORAGE_DIR"}
# `junis migrate` takes it from the environment.
NO_SETTING = {"SERVER_DATABASE_USER", "SERVER_DATABASE_PASSWORD"}
# It has one connection, and DATABASE_URL is the direct one.
OF_POOLS = {"DATABASE_POOL_SIZE", "DATABASE_POOLER", "DATABASE_DIRECT_URL"}
NOT_NEEDED: dict[str, set[str]] = {"api": set(), "worker": set(), "migrate": OF_POOLS}


def test_exactly_the_expected_services_are_defined() -> None:
    assert set(SERVICES) == FOREIGN | OURS


def test_only_the_proxy_and_grafana_are_published_and_only_on_loopback() -> None:
    published = {name: service.get("ports") for name, service in SERVICES.items()}

    ports = published.pop("proxy") or []
    assert ports
    assert all(port.startswith("${HOST:-127.0.0.1}:") for port in ports)
    assert published.pop("grafana") == ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"]
    assert set(published.values()) == {None}


def test_prometheus_reaches_the_processes_and_no_store() -> None:
    assert {name for name, service in SERVICES.items() if "observe" in service["networks"]} == {
        "api", "worker", *WATCHERS
    }  # fmt: skip
    assert SERVICES["prometheus"]["networks"] == SERVICES["jaeger"]["networks"] == ["observe"]
    assert set(SERVICES["grafana"]["networks"]) == {"observe", "dashboard"}
    assert compose()["networks"]["observe"] == {"internal": True}
    assert all(SERVICES[name]["profiles"] == ["observe"] for name in WATCHERS)


def test_each_store_is_alone_on_a_network_without_access_to_the_outside() -> None:
    networks = compose()["networks"]

    for store in STORES:
        assert SERVICES[store]["networks"] == [store]
        assert networks[store] == {"internal": True}
    members = {store: {name for name in SERVICES if store in SERVICES[name]["networks"]} for store in STORES}
    assert members["postgres"] == {"postgres", "api", "worker", "migrate"}
    assert members["redis"] == {"redis", "api", "worker"}
    assert members["objects"] == {"objects", "api", "worker"}


def test_the_proxy_reaches_the_api_and_nothing_else() -> None:
    [edge] = SERVICES["proxy"]["networks"]

    assert {name for name, service in SERVICES.items() if edge in service["networks"]} == {"proxy", "api"}


@pytest.mark.parametrize("process", BEGINS_WITH)
def test_a_process_gets_the_settings_that_it_reads_and_no_other(process: str) -> None:
    given = set(SERVICES[process]["environment"]) - NO_SETTING
    read_by_it = settings_read(BEGINS_WITH[process])

    assert given == read_by_it - NOT_UNDER_COMPOSE - NOT_NEEDED[process]


@pytest.mark.parametrize("process", BEGINS_WITH)
def test_a_setting_of_the_operators_arrives_under_its_name(process: str) -> None:
    """What is not set is empty, which counts as not set."""
    for name, value in SERVICES[process]["environment"].items():
        # Compose has a bucket, so the store is not for the operator to choose.
        # Migrations may have another role than the server.
        wanted = {name, "OWNER_DATABASE_URL"} if process == "migrate" else {name}
        assert name == "STORAGE" or any(value.startswith(f"${{{setting}:") for setting in wanted), name


def test_nothing_gets_the_whole_file() -> None:
    assert not any("env_file" in service for service in SERVICES.values())


def test_a_secret_is_known_to_those_who_need_it() -> None:
    def knows(secret: str) -> set[str]:
        return {name for name, service in SERVICES.items() if secret in settings_used(service)}

    assert knows("POSTGRES_PASSWORD") == {"postgres", "migrate"}
    assert knows("SERVER_DATABASE_PASSWORD") == {"migrate", "api", "worker"}
    assert knows("REDIS_PASSWORD") == {"redis", "api", "worker"}
    assert knows("S3_SECRET_ACCESS_KEY") == {"objects", "api", "worker"}
    assert knows("REPLICATE_API_TOKEN") == {"api", "worker"}
    assert knows("OTEL_EXPORTER_OTLP_HEADERS") == {"api", "worker"}
    assert knows("METRICS_TOKEN") == {"api", "prometheus"}
    for secret in ("SECRET_KEY", "SECRET_KEY_ACCEPTED"):
        assert knows(secret) == {"api", "worker"}
    for secret in ("LLM_API_KEY", "LLM_UPSTREAMS"):
        assert knows(secret) == {"api"}
    assert not settings_used(SERVICES["simulator"]["environment"])


def test_no_secret_is_an_argument() -> None:
    for name, service in SERVICES.items():
        assert not settings_used([service.get("command"), service.get("healthcheck")]), name


def test_every_setting_of_the_example_arrives_somewhere() -> None:
    shown = set(re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=", read(".env.example"), re.MULTILINE))
    # What only `make quickstart` reads, what Compose itself does, and what makes no difference without a terminal.
    elsewhere = {"DATA_DIR", "LOCAL_STORAGE_DIR", "STORAGE", "COMPOSE_PROFILES", "LOG_FORMAT"}

    assert shown - elsewhere == settings_used(compose())


def test_long_running_services_are_restarted() -> None:
    restarts = {name: service["restart"] for name, service in SERVICES.items()}

    assert restarts.pop("migrate") == "no"
    assert set(restarts.values()) == {"unless-stopped"}


def test_services_start_only_after_the_migration() -> None:
    for name in ("api", "worker"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_health_checks_need_no_shell() -> None:
    checks = {name: service["healthcheck"]["test"] for name, service in SERVICES.items() if "healthcheck" in service}

    assert {*STORES, "api", "simulator"} <= set(checks)
    for name, check in checks.items():
        assert check[0] == "CMD", name
        assert check[1] not in {"sh", "bash"}, name


def test_one_service_builds_the_image_of_all_programs() -> None:
    assert {name for name, service in SERVICES.items() if "build" in service} == {"api"}
    assert len({SERVICES[name]["image"] for name in OURS}) == 1


def test_third_party_images_have_a_tag() -> None:
    for name in FOREIGN:
        assert re.fullmatch(r"[a-z/]+:v?\d[\w.-]*", SERVICES[name]["image"]), name


def test_the_bases_tag_is_the_same_everywhere() -> None:
    [named] = re.findall(r"^ARG BASE=(\S+)$", read("Dockerfile"), re.MULTILINE)

    assert set(re.findall(r"^FROM (\S+)", read("Dockerfile"), re.MULTILINE)) == {"${BASE}", "${NODE}"}
    assert SERVICES["api"]["build"]["args"]["BASE"] == f"${{BASE_IMAGE:-{named}}}"
    assert f"# BASE_IMAGE={named}\n" in read(".env.example")


def test_the_commands_of_the_services_exist() -> None:
    commands = {command.callback.__name__ for command in junis().registered_commands if command.callback}

    assert {SERVICES[name]["command"][0] for name in OURS - {"simulator"}} <= commands


def test_our_programs_have_an_init_and_no_rights() -> None:
    for name in OURS:
        assert SERVICES[name]["init"] is True
        assert "cap_add" not in SERVICES[name]


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_every_service_is_confined(service: dict[str, Any]) -> None:
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    # What SeaweedFS writes besides its data is not known.
    assert service.get("read_only") or "seaweedfs" in service["image"]


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
def test_every_service_has_limits(service: dict[str, Any]) -> None:
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}
    assert re.fullmatch(r"(\$\{[A-Z]+_MEMORY:-)?\d+[mg]\}?", service["mem_limit"])
    assert service["pids_limit"] > 0
    assert all(re.fullmatch(r"/[\w/]+:size=\d+m", mount) for mount in service["tmpfs"])


def test_every_volume_is_declared_and_used() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    mounted = {mount.partition(":")[0] for mount in mounts}

    assert set(compose()["volumes"]) == {name for name in mounted if not name.startswith(".")}
    assert all((ROOT / name).exists() for name in mounted if name.startswith("."))
