"""What the chart promises about its pods, how they stop, and who reaches them."""

import math
import re
import tomllib
from typing import Any

import pytest
import yaml

from app.cli.commands import junis
from app.health import router as health
from tests.deploy_files.chart import ALL_RELEASES, container, objects, of_kind, pods
from tests.deploy_files.releases import MOST
from tests.docs.compose import services
from tests.docs.files import read

VALUES: dict[str, Any] = yaml.safe_load(read("deploy/helm/junis/values.yaml"))
PROCESSES = ("api", "worker", "migrate")


def seconds(compose_duration: str) -> int:
    return int(compose_duration.removesuffix("s"))


def mebibytes(size: str) -> int:
    """A size as Kubernetes or Compose writes it."""
    ((number, unit),) = re.findall(r"^(\d+)([mg])i?$", size.lower())
    return int(number) * {"m": 1, "g": 1024}[unit]


def test_the_versions_are_the_products() -> None:
    chart = yaml.safe_load(read("deploy/helm/junis/Chart.yaml"))
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]

    assert chart["version"] == chart["appVersion"] == version
    assert container("least", "api")["image"] == f"registry.example.com/junis:{version}"
    assert container("most", "api")["image"] == f"registry.example.com/junis@{MOST['image']['digest']}"


@pytest.mark.parametrize("process", PROCESSES)
def test_a_pod_runs_a_command_of_the_image(process: str) -> None:
    commands = {command.callback.__name__ for command in junis().registered_commands if command.callback}

    (command,) = container("least", process)["args"]

    assert command in commands
    assert [command] == services()[process]["command"]


@pytest.mark.parametrize("process", PROCESSES)
def test_a_pod_has_no_rights(process: str) -> None:
    specification = pods("most")[process]["spec"]
    (user,) = re.findall(r"^USER (\d+)$", read("Dockerfile"), re.MULTILINE)

    assert specification["automountServiceAccountToken"] is False
    assert specification["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user),
        "runAsGroup": int(user),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container("most", process)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("process", PROCESSES)
def test_a_pod_has_the_memory_that_it_has_under_compose(process: str) -> None:
    (limit,) = re.findall(r"\d+[mg]", services()[process]["mem_limit"])
    resources = container("least", process)["resources"]

    assert mebibytes(resources["limits"]["memory"]) == mebibytes(limit)
    assert mebibytes(resources["requests"]["memory"]) <= mebibytes(limit)
    # An event loop that waits for the rest of a period keeps everybody waiting.
    assert "cpu" not in resources["limits"]
    assert pods("least")[process]["spec"]["volumes"] == [
        {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}
    ]


@pytest.mark.parametrize(("release", "values"), [("least", VALUES), ("most", MOST)])
def test_an_api_has_as_long_to_stop_as_it_may_take(release: str, values: dict[str, Any]) -> None:
    specification = pods(release)["api"]["spec"]
    pause = specification["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    settings = values["settings"]

    assert pause == values["api"]["preStopSeconds"]
    assert specification["terminationGracePeriodSeconds"] == pause + 20 + sum(
        math.ceil(settings[name]) for name in ("SHUTDOWN_DELAY_SECONDS", "SHUTDOWN_GRACE_SECONDS")
    )


def test_a_worker_has_as_long_to_stop_as_under_compose() -> None:
    grace = pods("least")["worker"]["spec"]["terminationGracePeriodSeconds"]

    assert grace == seconds(services()["worker"]["stop_grace_period"])


def test_the_probes_ask_what_the_server_answers() -> None:
    addresses = {getattr(route, "path", "") for route in health.routes}
    api = container("least", "api")
    asked = {name: api[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}

    assert set(asked.values()) <= addresses
    # Postgres that is away must restart nothing.
    assert asked == {"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
    # /readyz waits two seconds for Postgres and one for Redis.
    assert all(api[name]["timeoutSeconds"] > 3 for name in asked)


def test_a_replaced_pod_goes_after_its_successor_is_ready() -> None:
    for deployment in of_kind("least", "Deployment").values():
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_number_of_pods_that_something_else_decides_is_not_said() -> None:
    """Each upgrade would set it back."""
    said = {
        release: {n: d["spec"].get("replicas") for n, d in of_kind(release, "Deployment").items()}
        for release in ALL_RELEASES
    }

    assert said["least"] == {"api": None, "worker": 2}
    assert said["scaled"] == {"api": None, "worker": None}
    assert said["fixed"] == {"api": 3, "worker": 2}
    assert not of_kind("fixed", "HorizontalPodAutoscaler")


@pytest.mark.parametrize("release", ALL_RELEASES)
def test_what_is_referred_to_exists(release: str) -> None:
    labels = {name: pod["metadata"]["labels"].items() for name, pod in pods(release).items()}
    accounts = {each["metadata"]["name"] for each in objects(release) if each["kind"] == "ServiceAccount"}

    for each in objects(release):
        specification = each.get("spec", {})
        selectors = [specification.get("podSelector"), specification.get("selector")]
        for selector in filter(None, selectors):
            wanted = selector.get("matchLabels", selector).items()
            (selected,) = [name for name, given in labels.items() if wanted <= given]
            assert each["metadata"]["name"] == f"{release}-{selected}"
        if target := specification.get("scaleTargetRef"):
            assert target["name"].removeprefix(f"{release}-") in of_kind(release, target["kind"])
    assert {pods(release)[name]["spec"]["serviceAccountName"] for name in ("api", "worker")} == accounts


def test_the_migration_runs_before_anything_else_is_there() -> None:
    (job,) = of_kind("least", "Job").values()
    policy = of_kind("least", "NetworkPolicy")["migrate"]
    hooks = [each["metadata"]["annotations"] for each in (policy, job)]

    assert {hook["helm.sh/hook"] for hook in hooks} == {"pre-install,pre-upgrade"}
    weights = [int(hook["helm.sh/hook-weight"]) for hook in hooks]
    assert weights == sorted(set(weights))
    # Neither the chart's account nor a ConfigMap of it exists at the first installation.
    assert "serviceAccountName" not in job["spec"]["template"]["spec"]
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_of_several_pods_one_may_be_missing() -> None:
    budgets = of_kind("least", "PodDisruptionBudget")

    assert {name: budget["spec"]["maxUnavailable"] for name, budget in budgets.items()} == {"api": 1, "worker": 1}


def test_a_pod_reaches_only_what_it_needs() -> None:
    policies = of_kind("most", "NetworkPolicy")
    ports = {
        name: {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        for name, policy in policies.items()
    }

    assert ports["migrate"] == {53, 5432}
    assert ports["api"] == ports["worker"] == {53, 5432, 6379, 443, 465, 587, 8080}
    for name in ("api", "worker"):
        (vendors,) = [
            rule for rule in policies[name]["spec"]["egress"] if {"port": 587, "protocol": "TCP"} in rule["ports"]
        ]
        closed = [network for peer in vendors["to"] for network in peer["ipBlock"]["except"]]
        # The cloud's metadata, and private networks.
        assert {"169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"} <= set(closed)


def test_who_reaches_a_pod_is_said() -> None:
    policies = of_kind("most", "NetworkPolicy")

    assert policies["api"]["spec"]["ingress"] == [
        {"ports": [{"port": "http", "protocol": "TCP"}], "from": MOST["networkPolicy"]["ingressFrom"]}
    ]
    assert policies["worker"]["spec"]["ingress"][0]["from"] == MOST["networkPolicy"]["metricsFrom"]
    assert policies["migrate"]["spec"]["ingress"] == []
    assert of_kind("least", "NetworkPolicy")["worker"]["spec"]["ingress"] == []


def test_the_ingress_does_not_buffer_streams() -> None:
    (ingress,) = of_kind("most", "Ingress").values()
    annotations = ingress["metadata"]["annotations"]

    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    # A stream may take half an hour, and a body has 10 MiB at most.
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) >= 1800
    assert mebibytes(annotations["nginx.ingress.kubernetes.io/proxy-body-size"]) > 10
    assert not of_kind("least", "Ingress")


@pytest.mark.parametrize(
    ("release", "secret"),
    [
        ("scaled", ("junis", "DATABASE_URL")),
        ("most", ("shop", "DATABASE_DIRECT_URL")),
        ("scaled-apart", ("keda", "url")),
    ],
)
def test_keda_signs_in_past_a_pooler(release: str, secret: tuple[str, str]) -> None:
    (authentication,) = of_kind(release, "TriggerAuthentication").values()
    (scaled,) = of_kind(release, "ScaledObject").values()

    (reference,) = authentication["spec"]["secretTargetRef"]
    assert (reference["name"], reference["key"]) == secret
    assert scaled["spec"]["triggers"][0]["authenticationRef"]["name"] == authentication["metadata"]["name"]
    assert scaled["spec"]["minReplicaCount"] >= 1
