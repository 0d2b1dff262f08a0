import asyncio
import os
from collections.abc import Iterator

import pytest
from alembic import command
from alembic.config import Config

from app.core.paths import ALEMBIC_INI
from devstack.servers import EmbeddedServers
from tests.cli.databases import clone, execute, sibling
from tests.upgrades.rows import OLDER_SCHEMA, fill

# The long form: it needs the history of the repository, and a quarter of an hour.
collect_ignore = [] if os.environ.get("FULL") == "1" else ["test_older_version.py"]

# Enough for three batches.
_GENERATIONS = 12_000
_CATALOG = (
    "INSERT INTO organizations (id, name, plan_name, subscription_status) VALUES ('first', 'First', 'pro', 'active')",
    "INSERT INTO credit_accounts (organization_id, balance, held) VALUES ('first', 0, 0)",
    "INSERT INTO models (name, kind, description, is_active) VALUES ('simulator/image', 'generation', '', true)",
    """INSERT INTO prices (model_name, effective_at, per_call, per_second, per_output, per_million_prompt_tokens,
    per_million_completion_tokens) VALUES ('simulator/image', now(), 0, 0, 0.003, 0, 0)""",
)


@pytest.fixture(scope="session")
def older_template(embedded: EmbeddedServers) -> str:
    """The name of a database with the schema of the version before, and some rows."""
    name = "older_template"
    url = sibling(embedded.database_url, name)
    execute(embedded.database_url, f"CREATE DATABASE {name}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        command.upgrade(Config(ALEMBIC_INI), OLDER_SCHEMA)
    for statement in _CATALOG:
        execute(url, statement)
    asyncio.run(fill(url, _GENERATIONS))
    return name


@pytest.fixture
def older_url(embedded: EmbeddedServers, older_template: str) -> Iterator[str]:
    """The URL of a database with the schema of the version before, and some rows."""
    with clone(embedded.database_url, older_template) as url:
        yield url
