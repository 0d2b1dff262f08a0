from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.core.sites import create_database, furnish
from tests.poolers.pgbouncer import running_pgbouncer


@dataclass(frozen=True)
class Pooled:
    """An empty database, and the URL of the same one through PgBouncer."""

    direct_url: str
    url: str


@pytest.fixture(scope="module")
async def direct_url(environment: dict[str, str]) -> str:
    return await create_database(environment["DATABASE_URL"])


@pytest.fixture(scope="module")
def pooled(direct_url: str, run_folder: Path) -> Iterator[Pooled]:
    folder = run_folder / "pgbouncer"
    folder.mkdir()
    with running_pgbouncer(folder, direct_url) as url:
        yield Pooled(direct_url, url)


@pytest.fixture(scope="module")
async def site(environment: dict[str, str], pooled: Pooled, run_folder: Path) -> dict[str, str]:
    """The settings of an installation behind the pooler; its database is migrated and has prices."""
    settings = environment | {
        "DATABASE_URL": pooled.url,
        "DATABASE_POOLER": "transaction",
        "DATABASE_DIRECT_URL": pooled.direct_url,
        "DATABASE_POOL_SIZE": "8",
    }
    await furnish(settings, run_folder)
    return settings
