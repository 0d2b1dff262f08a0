"""What the image holds, and what it does not."""

import json

import pytest

from app.core.settings import Settings
from tests.deployment.docker import Docker
from tests.deployment.stack import IMAGE
from tests.deployment.stand_ins import PYTHON

pytestmark = pytest.mark.deployment

LARGEST = 186_000_000
PROGRAMS_THAT_BUILD = ("gcc", "cc", "make", "ld", "uv", "cyclonedx-py")


def python(docker: Docker, program: str) -> str:
    """What a Python program prints in the image."""
    return docker("run", "--rm", "--network", "none", "--entrypoint", "python", IMAGE, "-c", program).strip()


def test_it_is_no_larger_above_its_base_than_it_was(docker: Docker, image: str) -> None:
    assert docker.inspect("image", image)["Size"] - docker.inspect("image", PYTHON)["Size"] <= LARGEST


def test_it_says_what_it_is(docker: Docker, image: str) -> None:
    labels = docker.inspect("image", image)["Config"]["Labels"]

    names = {"title", "version", "revision", "source", "licenses"}
    assert names <= {label.removeprefix("org.opencontainers.image.") for label in labels}
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_its_programs_run_as_a_user_without_rights(docker: Docker, image: str) -> None:
    assert python(docker, "import os; print(os.getuid())") == "10001"


def test_nothing_in_it_can_build_programs(docker: Docker, image: str) -> None:
    found = f"import shutil; print([name for name in {PROGRAMS_THAT_BUILD} if shutil.which(name)])"

    assert python(docker, found) == "[]"


def test_nobody_can_change_the_programs(docker: Docker, image: str) -> None:
    """Even if the root file system is not read-only."""
    walk = (
        "import os; walked = list(os.walk('/srv/junis'));"
        "paths = [os.path.join(folder, name) for folder, _, files in walked for name in ('', *files)];"
        "print([path for path in paths if os.access(path, os.W_OK)])"
    )

    assert python(docker, walk) == "[]"


def test_the_bill_of_materials_names_what_is_installed(docker: Docker, image: str) -> None:
    bill = json.loads(python(docker, "print(open('/srv/junis/sbom.cdx.json').read())"))
    installed = python(docker, "import importlib.metadata as m; print(*(d.name for d in m.distributions()))")

    assert bill["bomFormat"] == "CycloneDX"
    named = {component["name"].lower() for component in bill["components"]}
    assert {name.lower() for name in installed.split()} - named == {"junis-server"}


def test_it_starts_without_the_descriptions_of_other_aws_services(docker: Docker, image: str) -> None:
    """The SDK finds what it needs for S3 with static keys."""
    client = "import boto3; print(boto3.client('s3', 'eu-central-1').meta.endpoint_url)"

    assert python(docker, client) == "https://s3.eu-central-1.amazonaws.com"
    assert Settings.model_fields["s3_region"].default
