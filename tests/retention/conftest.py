from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.core.database import Database
from app.core.settings import Settings
from devstack.servers import EmbeddedServers
from tests import factories, programs
from tests.cli.databases import clone, execute, sibling
from tests.factories import Organization

_TEMPLATE = "retention_template"


@pytest.fixture(scope="session")
def _template(embedded: EmbeddedServers, environment: dict[str, str], run_folder: Path) -> str:
    execute(embedded.database_url, f"CREATE DATABASE {_TEMPLATE}")
    programs.migrate({**environment, "DATABASE_URL": sibling(embedded.database_url, _TEMPLATE)}, run_folder)
    return _TEMPLATE


@pytest.fixture
def own_url(embedded: EmbeddedServers, _template: str) -> Iterator[str]:
    """The URL of a database of the test's own: what is pruned there is nobody else's."""
    with clone(embedded.database_url, _template) as url:
        yield url


@pytest.fixture
async def database(own_url: str, environment: dict[str, str]) -> AsyncIterator[Database]:
    settings = {name.lower(): value for name, value in environment.items()}
    opened = Database.open(Settings.model_validate({**settings, "database_url": own_url}))
    await factories.import_catalog(opened)
    await factories.set_roomy_plan(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def organization(database: Database) -> Organization:
    """A new organization with 100 credits in the test's own database."""
    return await factories.make_organization(database)
