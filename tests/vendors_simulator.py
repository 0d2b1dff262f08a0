"""The vendors' simulator as the tests use it: a separate process, reached over HTTP."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx

from devstack import product
from devstack.ports import free_port
from tests.waiting import PATIENCE
from tests.warm_start.program import WarmProgram


class VendorsSimulator:
    """A running simulator: the vendors' addresses, and the requests that they received."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self.url = str(http.base_url).rstrip("/")
        self.replicate_url = f"{self.url}/replicate"
        self.openai_url = f"{self.url}/openai/v1"

    def log(self, kind: str) -> list[dict[str, Any]]:
        """The entries of one kind since the last reset, oldest first."""
        response = self._http.get("/_sim/log", params={"kind": kind}).raise_for_status()
        return cast("list[dict[str, Any]]", response.json()["entries"])

    def version(self, model: str) -> str:
        """The id of the latest version of a model at Replicate, `owner/name`."""
        response = self._http.get(f"/replicate/v1/models/{model}", headers={"Authorization": "Bearer tests"})
        return cast("str", response.raise_for_status().json()["latest_version"]["id"])

    def set_fault(self, fault: str) -> None:
        """Have every request that can suffer it go wrong this way."""
        self._http.post("/_sim/faults", json={"fault": fault}).raise_for_status()

    def clear_faults(self) -> None:
        """Let everything go well again."""
        self._http.delete("/_sim/faults").raise_for_status()

    def order_fault(self, model: str, fault: str) -> None:
        """Make only the next call of this model fail in this way."""
        rule = {"match": {"model": model}, "fault": fault, "times": 1}
        self._http.post("/_sim/faults", json=[rule]).raise_for_status()

    def skip(self, seconds: float) -> None:
        """Move the simulator's clock forward by this much."""
        self._http.post("/_sim/clock", json={"skip": seconds}).raise_for_status()

    def reset(self) -> None:
        """Forget all calls, orders and predictions."""
        self._http.post("/_sim/reset").raise_for_status()


@contextmanager
def vendors_simulator(*options: str) -> Iterator[VendorsSimulator]:
    """Run a simulator on a free port during the block.

    Args:
        options: further arguments of `python -m simulator`.
    """
    origin = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "simulator.log"
        program = WarmProgram.of(
            product.simulator(product.isolated({}), log, *options, origin=origin, folder=Path(folder))
        )
        with program.serving(), httpx.Client(base_url=origin, timeout=PATIENCE) as http:
            yield VendorsSimulator(http)
