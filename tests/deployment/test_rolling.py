"""`deploy/roll.sh` replaces APIs and workers while chats and streams go on."""

import json
import re
import subprocess
import sys

import pytest

from devstack.product import ROOT
from tests.deployment.figures import Figures
from tests.deployment.stack import IMAGE, Stack

pytestmark = [pytest.mark.deployment, pytest.mark.thorough]

CHATS_PER_SECOND = 20
STREAMS = 10
# Lines of the API or the proxy that may say why a request failed.
TROUBLE = re.compile(r'"level": ?"(error|critical)"|"status": ?5')


def test_a_rolling_update_and_the_way_back_fail_no_request(stack: Stack, key: str, figures: Figures) -> None:
    stack.compose("up", "-d", "--wait", "--scale", "api=2", "--scale", "worker=2")
    before = {name: stack.image_of(name) for service in ("api", "worker") for name in stack.containers(service)}
    load = [sys.executable, "-m", "tests.deployment.load", stack.url, key, "--seconds=3600"]
    load += [f"--chats-per-second={CHATS_PER_SECOND}", f"--streams={STREAMS}"]
    try:
        with (
            stack.followed_log("api", "proxy") as log,
            subprocess.Popen(load, cwd=ROOT, stdout=subprocess.PIPE, text=True) as loading,
        ):
            try:
                build = ("build", "--quiet", "--build-arg", "REVISION=newer", "-t", IMAGE, ".")
                stack.docker(*build, folder=stack.folder)
                with figures.timed("roll, two of each"):
                    stack.shell("sh deploy/roll.sh --as-is")
                newer = {stack.image_of(name) for service in ("api", "worker") for name in stack.containers(service)}
                with figures.timed("roll back"):
                    stack.shell("sh deploy/roll.sh --back")
                older = {stack.image_of(name) for service in ("api", "worker") for name in stack.containers(service)}
            finally:
                loading.terminate()
                printed, _ = loading.communicate()
    finally:
        stack.compose("up", "-d", "--wait", "--scale", "api=1", "--scale", "worker=1")

    report = json.loads(printed)
    figures.add("requests while rolling", f"{report['chats']} chats, {report['streams']} streams")
    assert report["failures"] == {}, "\n".join(line for line in log.read_text().splitlines() if TROUBLE.search(line))
    assert report["chats"] > 0
    assert report["streams"] > 0
    assert older == set(before.values())
    assert len(newer) == 1
    assert newer != older
    stack.junis("verify-ledger")
