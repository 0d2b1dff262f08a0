"""What each container may do, and what it is told."""

import pytest

from tests.deployment.stack import OURS, SERVICES, STORES, Stack

pytestmark = pytest.mark.deployment

# Who may know a secret of `.env`.
KNOWN_TO = {
    "POSTGRES_PASSWORD": {"postgres", "migrate"},
    "REDIS_PASSWORD": {"redis", "api", "worker"},
    "SECRET_KEY": {"api", "worker"},
    "S3_ACCESS_KEY_ID": {"objects", "api", "worker"},
    "S3_SECRET_ACCESS_KEY": {"objects", "api", "worker"},
    "SERVER_DATABASE_PASSWORD": {"api", "worker", "migrate"},
}


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_without_a_limit(stack: Stack, service: str) -> None:
    host = stack.inspect(service)["HostConfig"]

    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "5"}
    assert all("size=" in options for options in host["Tmpfs"].values())


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_can_gain_rights(stack: Stack, service: str) -> None:
    host = stack.inspect(service)["HostConfig"]

    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    # What SeaweedFS writes besides its data is not known.
    assert host["ReadonlyRootfs"] or service == "objects"


@pytest.mark.parametrize("service", OURS)
def test_our_programs_have_no_rights_and_an_init(stack: Stack, service: str) -> None:
    host = stack.inspect(service)["HostConfig"]

    assert not host["CapAdd"]
    assert host["Init"] is True


@pytest.mark.parametrize("service", ["api", "worker", *STORES])
def test_the_programs_themselves_run_without_rights(stack: Stack, service: str) -> None:
    """Also those that begin as root: they become a user of their own."""
    read = "cat /proc/[0-9]*/status"
    printed = stack.compose("exec", "-T", "--user", "0", service, "sh", "-c", read)
    blocks = [dict(line.split(":\t", 1) for line in block.splitlines() if ":\t" in line) for block in _blocks(printed)]
    programs = [block for block in blocks if block["Name"] not in {"sh", "cat", "docker-init", "tini"}]

    assert programs
    assert all(int(block["CapEff"], 16) == 0 for block in programs), programs
    assert all(int(block["Uid"].split()[0]) != 0 for block in programs)
    assert all(block["NoNewPrivs"] == "1" for block in programs)


def test_only_the_proxy_is_published_and_only_on_loopback(stack: Stack) -> None:
    bound = {service: stack.inspect(service)["HostConfig"]["PortBindings"] for service in SERVICES}
    [addresses] = bound.pop("proxy").values()

    assert {address["HostIp"] for address in addresses} == {"127.0.0.1"}
    assert not any(bound.values())


@pytest.mark.parametrize("service", STORES)
def test_a_store_reaches_nobody_else(stack: Stack, service: str) -> None:
    networks = stack.inspect(service)["NetworkSettings"]["Networks"]

    [name] = networks
    assert stack.docker.inspect("network", name)["Internal"] is True


@pytest.mark.parametrize("secret", KNOWN_TO)
def test_a_secret_is_known_to_those_who_need_it(stack: Stack, secret: str) -> None:
    value = stack.settings[secret]
    assert len(value) >= 24
    told = {service for service in SERVICES if value in str(stack.inspect(service)["Config"]["Env"])}

    assert told == KNOWN_TO[secret]


def test_no_secret_is_an_argument_or_logged(stack: Stack) -> None:
    processes = stack.compose("top")
    for service in SERVICES:
        found = stack.inspect(service)
        shown = [found["Path"], *found["Args"], *stack.log(service), processes]
        # The id of a key is no secret: SeaweedFS logs it.
        told = [name for name in KNOWN_TO if name != "S3_ACCESS_KEY_ID" and stack.settings[name] in str(shown)]
        assert not told, service


def _blocks(statuses: str) -> list[str]:
    return [f"Name:{block}" for block in statuses.split("Name:")[1:]]
