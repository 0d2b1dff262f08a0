"""Processes sleep and wake up, and what ends by itself is started again and told."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from chaos.field import Field, backends_of
from chaos.plant import Plant, running_plant
from chaos.stores import FolderStore
from chaos.strikes import APIS, POSTGRES, STORE, VALKEY, WORKERS, Blow, Kind
from chaos.valkeys import valkey_pair
from devstack.programs import Program
from tests.waiting import wait_until


class Struck(NamedTuple):
    plant: Plant
    field: Field


class IdlePlant(Plant):
    """A plant whose API processes and workers do nothing."""

    def add_api(self, name: str) -> None:
        idle = ("-c", "import time\nwhile True: time.sleep(60)")
        self._add(name, Program(name, idle, self._isolated(), self._log(name), folder=self.folder))


@pytest.fixture
def struck(tmp_path: Path) -> Iterator[Struck]:
    with (
        running_plant(tmp_path / "plant", settings={}, kind=IdlePlant) as plant,
        valkey_pair(plant.servers[VALKEY], plant.folder / "replica") as valkeys,
    ):
        for name in (*APIS, *WORKERS):
            plant.add_api(name)
        store = FolderStore(tmp_path / "objects", list)
        store.objects.mkdir()
        yield Struck(plant, Field(plant, valkeys, store))


def is_asleep(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def is_awake(pid: int) -> bool:
    return not is_asleep(pid)


async def test_everything_can_be_struck(struck: Struck) -> None:
    """One test, because the servers take seconds to start."""
    plant, field = struck
    _sleeps(plant, field)
    await _backends_sleep(plant, field)
    _dies(plant, field)
    _ends_by_itself(plant, field)


def _sleeps(plant: Plant, field: Field) -> None:
    for victim, pid in ((WORKERS[0], plant.pid(WORKERS[0])), (VALKEY, plant.servers[VALKEY].pid)):
        wake = field.strike(Kind(Blow.SLEEP, victim))
        assert wait_until(partial(is_asleep, pid))
        wake()
        assert wait_until(partial(is_awake, pid))
    field.strike(Kind(Blow.LONG_SLEEP, APIS[1]))
    field.heal()
    assert wait_until(partial(is_awake, plant.pid(APIS[1])))


async def _backends_sleep(plant: Plant, field: Field) -> None:
    connection = await asyncpg.connect(plant.settings.database_url)
    assert len(backends_of(plant)) == 1

    wake = field.strike(Kind(Blow.SLEEP, POSTGRES))
    query = asyncio.ensure_future(connection.fetchval("SELECT 1"))
    done, _ = await asyncio.wait({query}, timeout=0.3)
    assert not done
    # Others are served.
    other = await asyncpg.connect(plant.settings.database_url)
    await other.close()

    wake()
    assert await query == 1
    await connection.close()


def _dies(plant: Plant, field: Field) -> None:
    for victim in (APIS[0], POSTGRES, VALKEY):
        start = field.strike(Kind(Blow.KILL, victim))
        field.revive()
        alive = {name for name, process in {**plant.programs, **plant.servers}.items() if process.is_alive}
        assert victim not in alive
        start()
        assert {**plant.programs, **plant.servers}[victim].is_alive
    assert field.ended == []


def _ends_by_itself(plant: Plant, field: Field) -> None:
    plant.kill(WORKERS[1])
    field.revive()
    assert plant.is_alive(WORKERS[1])
    assert field.ended == [WORKERS[1]]

    # A worker whose store is not there may end.
    heal = field.strike(Kind(Blow.BLOCK, STORE))
    plant.kill(WORKERS[0])
    field.revive()
    heal()
    assert plant.is_alive(WORKERS[0])
    assert field.ended == [WORKERS[1]]
