import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from app.audit.actor import COMMAND_LINE
from app.cli.origin import note_origin
from app.cli.printing import print_json
from app.core.database import Database
from app.core.outgoing import Outgoing
from app.core.settings import Settings, load_settings


def demo_model() -> None:
    """Try the chat model of LLM_BASE_URL with one tiny call, and print what was found as one line of JSON.

    If LLM_MODEL is not set, the first model of a server on this machine or in a private network is taken. A model there
    that has no price gets the price 0. `make quickstart` runs this at each start.
    """
    print_json(asyncio.run(_prepare(load_settings())))


async def _prepare(settings: Settings) -> Mapping[str, Any]:
    # They load what the other commands do not need.
    from app.chat.turns.upstreams import Upstreams  # noqa: PLC0415 - see above
    from app.chat_models.client import open_chat_model_client  # noqa: PLC0415 - see above
    from app.onboarding.demo_model import prepare_demo_model  # noqa: PLC0415 - see above

    note_origin()
    database, client = Database.open(settings, pool_size=1), open_chat_model_client(Outgoing.of(settings))
    try:
        found = await prepare_demo_model(
            database,
            client,
            Upstreams.of(settings),
            model=settings.llm_model,
            is_chosen="llm_model" in settings.model_fields_set,
            actor=COMMAND_LINE,
        )
        return asdict(found)
    finally:
        await client.close()
        await database.close()
