"""The real Prometheus with its real configuration, pointed at processes of this machine."""

import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

from devstack import process
from devstack.ports import free_port
from tests.observe.catalogue import PROMETHEUS, RULES
from tests.observe.observed import Observed
from tests.waiting import PATIENCE, until


def is_installed() -> bool:
    """Whether this machine has Prometheus: Debian has it in the package `prometheus`."""
    return shutil.which("prometheus") is not None


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    http: httpx.AsyncClient

    async def query(self, expression: str) -> list[Any]:
        """The series that an expression has now."""
        response = await self.http.get("/api/v1/query", params={"query": expression})
        body = response.json()
        assert body["status"] == "success", (expression, body)
        found: list[Any] = body["data"]["result"]
        return found

    async def rules(self) -> list[Any]:
        """All rules with their states."""
        groups = (await self.http.get("/api/v1/rules")).raise_for_status().json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    async def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return (await self.http.get("/-/ready")).status_code == 200
        except httpx.TransportError:
            return False


@asynccontextmanager
async def running_prometheus(folder: Path, observed: Observed) -> AsyncIterator[Prometheus]:
    """Run Prometheus, which asks these processes every second, with all its files in a folder."""
    _write_configuration(folder, observed)
    address = f"127.0.0.1:{free_port()}"
    options = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    server = process.spawn(
        [shutil.which("prometheus") or "", *options],
        env={"PATH": os.environ["PATH"]},
        log=folder / "prometheus.log",
        death_signal=signal.SIGKILL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=60) as http:
            running = Prometheus(http)
            await until(running.is_ready)
            yield running
    finally:
        process.stop([(server, signal.SIGTERM)], grace=PATIENCE)


def _write_configuration(folder: Path, observed: Observed) -> None:
    """Write the configuration of `deploy/`, with addresses instead of the names that Compose's DNS knows."""
    folder.mkdir(parents=True)
    configuration: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(RULES)]
    (folder / "token").write_text(observed.token)
    targets = {"junis-api": observed.api, "junis-worker": observed.worker}
    for job in configuration["scrape_configs"]:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [urlsplit(targets[job["job_name"]]).netloc]}]
        if "authorization" in job:
            job["authorization"]["credentials_file"] = str(folder / "token")
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
