import asyncio
from dataclasses import asdict

from app.audit.actor import COMMAND_LINE
from app.chat.turns.upstreams import Upstreams
from app.chat_models.client import open_chat_model_client
from app.cli.printing import print_json
from app.core.database import Database
from app.core.settings import Settings, load_settings
from app.onboarding.demo_model import DemoModel, prepare_demo_model


def demo_model() -> None:
    """Try the chat model of LLM_BASE_URL with one tiny call, and print what was found as one line of JSON.

    If LLM_MODEL is not set, the first model of a server on this machine or in a private network is taken. A model there
    that has no price gets the price 0. `make quickstart` runs this at each start.
    """
    settings = load_settings()
    print_json(asdict(asyncio.run(_prepare(settings))))


async def _prepare(settings: Settings) -> DemoModel:
    database, client = Database.open(settings, pool_size=1), open_chat_model_client()
    try:
        return await prepare_demo_model(
            database,
            client,
            Upstreams.of(settings),
            model=settings.llm_model,
            is_chosen="llm_model" in settings.model_fields_set,
            actor=COMMAND_LINE,
        )
    finally:
        await client.close()
        await database.close()
