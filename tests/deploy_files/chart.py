"""The chart as Helm renders it, for all releases of `releases.py` at once."""

import importlib.util
import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest
import yaml

from tests.deploy_files.releases import REFUSED, RELEASES, every_plain_setting
from tests.docs.files import ROOT

Object = dict[str, Any]

_EVERY_SETTING = "every-setting"
ALL_RELEASES = (*RELEASES, _EVERY_SETTING)


@cache
def _rendered() -> dict[str, dict[str, Any]]:
    refused = {name: values for name, (values, _) in REFUSED.items()}
    done = subprocess.run(
        [sys.executable, "-m", "tests.deploy_files.render"],
        cwd=ROOT,
        input=json.dumps({**RELEASES, **refused, _EVERY_SETTING: every_plain_setting()}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return results


def result(release: str) -> dict[str, Any]:
    """What Helm made of the release: `files` and `findings`, or `refusal`. Skips the test where there is no Helm."""
    if importlib.util.find_spec("helm_python") is None:
        pytest.skip("no Helm: its package has a wheel for x86-64 Linux only")
    return _rendered()[release]


@cache
def objects(release: str) -> list[Object]:
    """The objects that the release would have in Kubernetes; they are shared by all tests."""
    found = result(release)
    assert "files" in found, found["refusal"]
    documents = [
        document
        for name, text in found["files"].items()
        if name.endswith(".yaml")
        for document in yaml.safe_load_all(text)
    ]
    return [document for document in documents if document]


def of_kind(release: str, kind: str) -> dict[str, Object]:
    """The objects of one kind, by the ends of their names."""
    prefix = f"{release}-"
    return {each["metadata"]["name"].removeprefix(prefix): each for each in objects(release) if each["kind"] == kind}


def pods(release: str) -> dict[str, Object]:
    """The templates of the pods, by the processes that run in them."""
    workloads = of_kind(release, "Deployment") | of_kind(release, "Job")
    return {name: workload["spec"]["template"] for name, workload in workloads.items()}


def container(release: str, process: str) -> Object:
    """The one container of a process."""
    (only,) = pods(release)[process]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def environment(release: str, process: str) -> dict[str, Object]:
    """The entries of a process's environment, by their names."""
    entries = container(release, process)["env"]
    by_name = {entry["name"]: entry for entry in entries}
    assert len(by_name) == len(entries)
    return by_name
