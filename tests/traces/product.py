"""A product that is traced: one API process, one worker, and a collector."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionMessageParam

from app.core.database import Database
from devstack.vendors import choose_vendors
from tests import factories, programs
from tests.core.sites import settings_of
from tests.factories import Organization
from tests.plain_http import NO_TLS
from tests.traces.collector import Collector, Seen, collecting
from tests.vendors_simulator import VendorsSimulator

# Keys that must not be found in traces, as everything else that is secret.
WEBHOOK_SECRET = "whsec_dHJhY2VzLW9mLXRoZS10ZXN0cw=="
LLM_KEY, REPLICATE_TOKEN, COLLECTORS_KEY = "sk-of-the-chat-models", "r8_of-replicate", "of the collector"
# The client's own span, as it sends it.
METRICS_TOKEN = "metrics-of-the-traced"
TRACE, CLIENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PROMPT = "unicorn of lapis lazuli"

_TURN = "POST /api/external/v1/chat/completions"


@dataclass(frozen=True)
class Traced:
    """The running product, and what belongs to it."""

    url: str
    environment: dict[str, str]
    collector: Collector
    vendors: VendorsSimulator
    database: Database
    organization: Organization
    logs: tuple[Path, Path]

    @property
    def objects(self) -> Path:
        return Path(self.environment["LOCAL_STORAGE_DIR"])

    async def ask(self, words: str) -> None:
        """Ask for something that needs no tool, without a trace of the client's."""
        async with self._openai() as openai:
            messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": words}]
            await openai.chat.completions.create(model="junis-orchestrator", messages=messages)

    async def has_dropped(self) -> bool:
        """Whether the API has dropped spans."""
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {METRICS_TOKEN}"}, verify=NO_TLS) as http:
            shown = (await http.get(f"{self.url}/metrics")).raise_for_status().text
        [dropped] = re.findall(r'^junis_trace_spans_total\{result="dropped"\} (\S+)$', shown, re.MULTILINE)
        return float(dropped) > 0

    def _openai(self) -> AsyncOpenAI:
        base_url = f"{self.url}/api/external/v1"
        return AsyncOpenAI(base_url=base_url, api_key=self.organization.api_key, max_retries=0)

    async def draw(
        self, trace_id: str = TRACE, *, model: str = "simulator/image", last: str = "copy_outputs"
    ) -> list[Seen]:
        """Have a picture made by a streamed turn that is part of a client's trace.

        Returns:
            All spans of the trace, once there is one that is called `last`.
        """
        async with self._openai() as openai:
            stream = await openai.chat.completions.create(
                model="junis-orchestrator",
                messages=[{"role": "user", "content": f"Please make {model} of a {PROMPT}"}],
                stream=True,
                extra_headers={"traceparent": f"00-{trace_id}-{CLIENT}-01"},
            )
            async for _ in stream:
                pass
        wanted = {_TURN, "hear_of_prediction", last}
        return self.collector.until(
            trace_id, lambda spans: wanted <= {span.name for span in spans if not span.has_failed}
        )


@asynccontextmanager
async def traced_product(site: dict[str, str], vendors: VendorsSimulator, folder: Path) -> AsyncIterator[Traced]:
    """A traced product during the block.

    Args:
        site: the settings of the stores, in which there is a schema.
        vendors: sign their webhooks with `WEBHOOK_SECRET`.
        folder: for its logs.
    """
    with collecting() as collector:
        site = site | _settings(vendors, collector)
        database = Database.open(settings_of(site))
        logs = folder / "traced-api.log", folder / "traced-worker.log"
        try:
            with (
                programs.running_api(site, logs[0]) as url,
                programs.running_worker({**site, "PUBLIC_URL": url}, logs[1]),
            ):
                organization = await factories.make_organization(database)
                yield Traced(url, site, collector, vendors, database, organization, logs)
        finally:
            await database.close()


def _settings(vendors: VendorsSimulator, collector: Collector) -> dict[str, str]:
    return {
        **choose_vendors({}, urlsplit(vendors.url).netloc).environ,
        "METRICS_TOKEN": METRICS_TOKEN,
        "LLM_API_KEY": LLM_KEY,
        "REPLICATE_API_TOKEN": REPLICATE_TOKEN,
        "REPLICATE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-key={COLLECTORS_KEY.replace(' ', '%20')}",
        # Of FastAPI, which would send more.
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=tests",
    }
