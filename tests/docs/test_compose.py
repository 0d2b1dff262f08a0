"""What `docker-compose.yml` promises, checked in its text, because no container engine is needed for the tests."""

import re
from dataclasses import dataclass

import pytest

from app.cli.commands import app as junis
from tests.docs.files import read

SERVICE = re.compile(r"^  (?P<name>[a-z]+):\n(?P<body>(?:    .*\n|\n)+)", re.MULTILINE)
STORES = {"postgres", "redis", "objects"}
OURS = {"api", "worker", "migrate", "simulator"}


@dataclass(frozen=True)
class Service:
    """A service's own lines, and those that it inherits."""

    own: str
    shared: str

    def value(self, key: str) -> str | None:
        """The value on the key's own or inherited line; empty if the value is on the lines below."""
        for text, indent in ((self.own, 4), (self.shared, 2)):
            if match := re.search(rf"^ {{{indent}}}{key}:(?: (?P<value>.*))?$", text, re.MULTILINE):
                return match["value"] or ""
        return None


def section(name: str) -> str:
    """The lines under one top-level key."""
    match = re.search(rf"^{name}:.*\n((?:  .*\n|\n)+)", read("docker-compose.yml"), re.MULTILINE)
    assert match, name
    return match[1]


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    shared = section("x-server")
    found = {match["name"]: match["body"] for match in SERVICE.finditer(section("services"))}
    return {name: Service(body, shared if "<<: *server" in body else "") for name, body in found.items()}


def test_exactly_the_expected_services_are_defined(services: dict[str, Service]) -> None:
    assert set(services) == STORES | OURS | {"proxy"}


def test_only_the_proxy_is_published_and_only_on_loopback(services: dict[str, Service]) -> None:
    published = {name: service.value("ports") for name, service in services.items()}

    assert published.pop("proxy") == '["${HOST:-127.0.0.1}:${PORT:-8000}:8000"]'
    assert set(published.values()) == {None}


def test_the_stores_are_on_a_network_without_internet_access(services: dict[str, Service]) -> None:
    networks = {name: service.value("networks") for name, service in services.items()}

    assert {name for name, joined in networks.items() if joined == "[stores]"} == {*STORES, "migrate"}
    assert networks["simulator"] == networks["proxy"] == "[default]"
    assert "  stores:\n    internal: true\n" in section("networks")


def test_long_running_services_are_restarted(services: dict[str, Service]) -> None:
    restarts = {name: service.value("restart") for name, service in services.items()}

    assert restarts.pop("migrate") == '"no"'
    assert set(restarts.values()) == {"unless-stopped"}


def test_services_start_only_after_the_migration(services: dict[str, Service]) -> None:
    for name in ("api", "worker"):
        assert "migrate: {condition: service_completed_successfully}" in services[name].own
    assert "postgres: {condition: service_healthy}" in services["migrate"].own


def test_services_with_a_port_have_a_health_check(services: dict[str, Service]) -> None:
    checked = {name for name, service in services.items() if service.value("healthcheck") is not None}

    assert checked == {*STORES, "api", "simulator", "proxy"}


def test_one_service_builds_the_image_of_all_programs(services: dict[str, Service]) -> None:
    assert {name for name, service in services.items() if service.value("build")} == {"api"}
    assert {services[name].value("image") for name in OURS} == {"junis-server"}


def test_third_party_images_are_pinned(services: dict[str, Service]) -> None:
    for name in STORES:
        image, _, tag = (services[name].value("image") or "").partition(":")
        assert image, name
        assert re.match(r"\d", tag), name


def test_the_commands_of_the_services_exist(services: dict[str, Service]) -> None:
    commands = {command.callback.__name__ for command in junis.registered_commands if command.callback}
    for name in OURS - {"simulator"}:
        assert (services[name].value("command") or "").strip("[]") in commands


def test_the_services_run_without_privileges_on_a_read_only_file_system(services: dict[str, Service]) -> None:
    for name in OURS | {"proxy"}:
        assert services[name].value("read_only") == "true"
        assert services[name].value("cap_drop") == "[ALL]"
        assert services[name].value("security_opt") == '["no-new-privileges:true"]'


def test_every_volume_is_declared_and_used(services: dict[str, Service]) -> None:
    declared = set(re.findall(r"^  (\w+): \{\}$", section("volumes"), re.MULTILINE))
    mounted = {(services[name].value("volumes") or "").strip('["]').partition(":")[0] for name in STORES}

    assert declared == mounted | {"proxy"} == STORES | {"proxy"}
    assert '"proxy:/data"' in services["proxy"].own
