"""Runs a client's program against the product, and counts the requests that reached the product."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import Stack
from tests.programs import ROOT
from tests.waiting import PATIENCE, wait_until


@dataclass(frozen=True)
class Run:
    """The results of a client's scenarios.

    Attributes:
        version: the version of the client's SDK.
        results: the results by the scenario's name.
        requests: how many requests of a scenario reached the API.
        model_calls: how many calls of a scenario reached the model's vendor.
    """

    version: str
    results: Mapping[str, Any]
    requests: Counter[str]
    model_calls: Counter[str]

    def result(self, scenario: str) -> Any:
        """The result of a scenario."""
        found = self.results[scenario]
        assert "unexpected" not in found, found["unexpected"]
        return found


def run_scenarios(stack: Stack, command: Sequence[str | Path], folder: Path, name: str, keys: dict[str, str]) -> Run:
    """Run a program that plays scenarios, and count what it caused.

    Args:
        stack: the running product.
        command: the program.
        folder: its working directory.
        name: the prefix of the ids of all requests of the run; no other run may have it.
        keys: API keys for the program.
    """
    access = {"run": name, "base_url": f"{stack.base_url}/v1", "keys": keys}
    # The packages may print something, too.
    printed = json.loads(run_program(command, folder, json.dumps(access)).rstrip().rpartition("\n")[2])
    calls = [str(entry["request"].get("user", "")) for entry in stack.simulator.log("chat")]
    return Run(printed["version"], printed["results"], _of_run(name, _requests(stack, name)), _of_run(name, calls))


def run_program(
    command: Sequence[str | Path], folder: Path, standard_input: str = "", settings: Mapping[str, str] | None = None
) -> str:
    """The output of a program for this standard input; the program sees no settings of this machine, only these."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), **(settings or {})},
        input=standard_input,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _requests(stack: Stack, name: str) -> list[str]:
    """The ids of the requests in the API's log, which has a line for each finished request."""
    last = f"{name}.end"
    httpx.get(f"{stack.url}/healthz", headers={"X-Request-ID": last}, timeout=PATIENCE)

    def ids_up_to_the_last() -> list[str]:
        lines = (stack.folder / "api.log").read_text().splitlines()
        # The last line may be incomplete.
        entries = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        ids = [entry["request_id"] for entry in entries if entry["event"] == "request"]
        return ids if last in ids else []

    return wait_until(ids_up_to_the_last)


def _of_run(name: str, ids: Sequence[str]) -> Counter[str]:
    prefix = f"{name}."
    return Counter(found.removeprefix(prefix) for found in ids if found.startswith(prefix))
