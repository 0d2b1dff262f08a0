"""A product of its own, whose metrics nobody else changes, and what they say."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app.core.database import Database
from tests.factories import Organization


@dataclass(frozen=True)
class Figures:
    """The samples of one process, or of several together, at one moment."""

    values: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def of(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name that have these labels, among others; 0 if there are none."""
        wanted = set(labels.items())
        return sum(value for (found, has), value in self.values.items() if found == name and wanted <= has)

    def __sub__(self, before: "Figures") -> "Figures":
        return Figures({key: value - before.values.get(key, 0.0) for key, value in self.values.items()})


@dataclass(frozen=True)
class Observed:
    """An API and a worker with their own Postgres and Valkey.

    Attributes:
        api: where the API is.
        worker: where the worker's metrics are.
        token: what the API wants for its own.
        database: the same Postgres, for the test.
        organization: somebody with credits and a key.
        objects: the folder of the object store.
    """

    api: str
    worker: str
    token: str
    database: Database
    organization: Organization
    objects: Path

    async def figures(self) -> Figures:
        """What both processes say now, added up."""
        async with httpx.AsyncClient(timeout=60) as client:
            of_api = await client.get(f"{self.api}/metrics", headers={"Authorization": f"Bearer {self.token}"})
            of_worker = await client.get(f"{self.worker}/metrics")
        values: dict[Any, float] = {}
        for text in (of_api.raise_for_status().text, of_worker.raise_for_status().text):
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    key = sample.name, frozenset(sample.labels.items())
                    values[key] = values.get(key, 0.0) + sample.value
        return Figures(values)
