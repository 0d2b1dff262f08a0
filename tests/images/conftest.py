from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.chat.asking import open_http
from tests.conftest import Stack

_MODELS = """
[[models]]
name = "simulator/image"
kind = "generation"
price = { per_output = 0.003, ceiling = 0.012 }
[models.images]
default = true
size = { "*" = { width = "{width}", height = "{height}" }, small = { width = 96, height = 64 } }
output_format = { png = { output_format = "png" }, jpeg = { output_format = "jpg" } }

[[models]]
name = "simulator/edit"
kind = "generation"
price = { per_output = 0.004, ceiling = 0.016 }
[models.edits]
default = true
images = "image_input"
max_images = 4
mask = "mask"
size = { "*" = { width = "{width}", height = "{height}" } }
output_format = { png = { output_format = "png" }, jpeg = { output_format = "jpg" } }

[[models]]
name = "simulator/edit--slow-6"
kind = "generation"
price = { per_output = 0.004, ceiling = 0.016 }
edits = { image = "image" }

[[models]]
name = "simulator/edit--slow-6--fail"
kind = "generation"
price = { per_output = 0.004, ceiling = 0.016 }
edits = { image = "image" }

[[models]]
name = "simulator/edit--fail"
kind = "generation"
price = { per_output = 0.004, ceiling = 0.016 }
edits = { image = "image" }

[[models]]
name = "simulator/edit--fail-1"
kind = "generation"
price = { per_output = 0.004, ceiling = 0.016 }
edits = { image = "image" }

[[models]]
name = "simulator/image--fail"
kind = "generation"
price = { per_call = 0.1, ceiling = 1 }
images = {}

[[models]]
name = "simulator/image--slow-600"
kind = "generation"
price = { per_call = 0.1, ceiling = 1 }
images = {}
"""


@pytest.fixture(scope="session")
async def http(stack: Stack, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    await factories.import_catalog(database, _MODELS)
    async with open_http(stack.url) as opened:
        yield opened
