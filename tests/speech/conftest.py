from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.chat.asking import open_http
from tests.conftest import Stack

_MODELS = """
[[models]]
name = "simulator/speech"
kind = "generation"
price = { per_call = 0.01, ceiling = 0.05 }
[models.speech]
default = true
voice = { alloy = { voice = "calm" }, "voice-1" = { voice = "own" } }
response_format = { wav = { output_format = "wav" }, mp3 = { output_format = "mp3" } }
speed = { "*" = { speed = "{value}" } }

[[models]]
name = "simulator/audio--fail"
kind = "generation"
price = { per_call = 0.01, ceiling = 0.05 }
speech = { input = "prompt" }

[[models]]
name = "simulator/image--slow-3"
kind = "generation"
price = { per_call = 0.01, ceiling = 0.05 }
speech = { input = "prompt" }

[[models]]
name = "simulator/audio--slow-600"
kind = "generation"
price = { per_call = 0.01, ceiling = 0.05 }
speech = {}

[[models]]
name = "simulator/audio--slow-4"
kind = "generation"
price = { per_call = 0.01, ceiling = 0.05 }
speech = {}
"""


@pytest.fixture(scope="session")
async def http(stack: Stack, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    await factories.import_catalog(database, _MODELS)
    async with open_http(stack.url) as opened:
        yield opened
