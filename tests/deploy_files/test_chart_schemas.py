"""What the chart renders is what Kubernetes and KEDA accept, field by field."""

import copy

import kubernetes_validate  # type: ignore[import-untyped] # it has annotations, but no py.typed
import pytest
from jsonschema import ValidationError

from tests.deploy_files import keda
from tests.deploy_files.chart import ALL_RELEASES, Object, objects, of_kind, result
from tests.deploy_files.releases import REFUSED

# The oldest one that Chart.yaml admits, and the newest one that the package knows.
_VERSIONS = ("1.30", "1.37")


def validate(an_object: Object, version: str) -> None:
    """Check an object against the schemas of this version of Kubernetes, in which no field is unknown."""
    if an_object["apiVersion"].startswith("keda.sh/"):
        keda.validate(an_object)
    else:
        assert kubernetes_validate.validate(an_object, version, strict=True) == version


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("release", ALL_RELEASES)
def test_every_object_follows_its_schema(release: str, version: str) -> None:
    for each in objects(release):
        validate(each, version)


def test_helm_has_no_warnings() -> None:
    for release in ALL_RELEASES:
        assert result(release)["findings"] == [], release


@pytest.mark.parametrize("kind", ["Deployment", "Job", "NetworkPolicy", "Ingress", "ScaledObject"])
def test_a_misspelt_field_is_found(kind: str) -> None:
    broken = copy.deepcopy(next(iter(of_kind("most", kind).values())))
    broken["spec"]["selctor"] = {}

    with pytest.raises(ValidationError, match="selctor"):
        validate(broken, _VERSIONS[-1])


@pytest.mark.parametrize("release", REFUSED)
def test_wrong_values_are_refused_by_name(release: str) -> None:
    assert REFUSED[release][1] in result(release)["refusal"]
