"""The product over one of the servers: an organization whose agents use its models, and what it was charged."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import httpx

from app.core.database import Database
from tests import factories, programs
from tests.cli.outcome import Outcome, run_process
from tests.factories import Organization, balance_of

# Credits for a million tokens of prompts and of answers.
PROMPT, COMPLETION = Decimal(1), Decimal(2)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@dataclass(frozen=True)
class Upstream:
    """A running server: its address and key, and the names of its models."""

    base_url: str
    api_key: str
    models: tuple[str, ...]

    @property
    def settings(self) -> dict[str, str]:
        """The operator's settings for it."""
        return {"LLM_BASE_URL": self.base_url, "LLM_API_KEY": self.api_key, "LLM_MODEL": self.models[0]}


@dataclass(frozen=True)
class Product:
    """An API over the server."""

    url: str
    upstream: Upstream
    environment: dict[str, str]
    database: Database

    def junis(self, *arguments: str, **settings: str) -> Outcome:
        """Run a command of the operator's, with other settings than the server's if they are given."""
        usual: dict[str, Any] = {**self.environment, **self.upstream.settings, "PUBLIC_URL": self.url}
        return run_process(*arguments, **(usual | settings))


@contextmanager
def api_over(upstream: Upstream, environment: dict[str, str], log: Path, **settings: str) -> Iterator[str]:
    """Run an API during the block whose chat models are the server's; yields its URL."""
    with programs.running_api({**environment, **upstream.settings, **settings}, log) as url:
        yield url


@dataclass(frozen=True)
class ToolCall:
    """The call of a client's tool with which an answer has ended."""

    name: str
    arguments: str
    finish_reason: str
    usage: dict[str, Any]

    @classmethod
    def from_chunks(cls, chunks: list[dict[str, Any]]) -> Self:
        """The only call in a stream."""
        choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
        calls = [call for choice in choices for call in choice["delta"].get("tool_calls") or []]
        assert {call["index"] for call in calls} == {0}
        name = "".join(call["function"].get("name") or "" for call in calls)
        arguments = "".join(call["function"].get("arguments") or "" for call in calls)
        (end,) = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
        return cls(name, arguments, end, chunks[-1]["usage"])


@dataclass
class Team:
    """An organization with an agent for each model, named as the model is."""

    http: httpx.AsyncClient
    database: Database
    organization: Organization

    async def ask(self, model: str, words: str, **body: Any) -> httpx.Response:
        """One chat, answered as a whole."""
        messages = [{"role": "user", "content": words}]
        request = {"model": f"agent/{agent_of(model)}", "messages": messages, "max_tokens": 40, **body}
        return await self.http.post("/v1/chat/completions", json=request)

    async def stream(self, model: str, words: str, **body: Any) -> list[dict[str, Any]]:
        """One chat, streamed: its chunks, which end in [DONE]."""
        response = await self.ask(model, words, stream=True, stream_options={"include_usage": True}, **body)
        assert response.status_code == 200, response.text
        events = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
        assert events.pop() == "[DONE]"
        return [json.loads(event) for event in events]

    async def call_tool(self, model: str, words: str, *, is_streamed: bool, **body: Any) -> ToolCall:
        """One chat that is to end in a call of the tool WEATHER."""
        if is_streamed:
            return ToolCall.from_chunks(await self.stream(model, words, tools=[WEATHER], **body))
        answer = (await self.ask(model, words, tools=[WEATHER], **body)).json()
        (call,) = answer["choices"][0]["message"]["tool_calls"]
        end = answer["choices"][0]["finish_reason"]
        return ToolCall(call["function"]["name"], call["function"]["arguments"], end, answer["usage"])

    async def charged(self) -> Decimal:
        """What has been charged so far; nothing is held any more."""
        balance = await balance_of(self.database, self.organization)
        assert balance.held == 0
        return Decimal(100) - balance.balance


def cost_of(usage: dict[str, Any]) -> Decimal:
    """What these tokens cost, to the sixth decimal."""
    amount: Decimal = PROMPT * usage["prompt_tokens"] + COMPLETION * usage["completion_tokens"]
    return (amount / 1_000_000).quantize(Decimal("0.000001"))


def agent_of(model: str) -> str:
    """The name of the agent that uses a model."""
    return "".join(letter if letter.isalnum() else "-" for letter in model.lower())


@asynccontextmanager
async def team_on(product: Product) -> AsyncIterator[Team]:
    """A new organization with 100 credits."""
    agents = "".join(f'[[agents]]\nname = "{agent_of(m)}"\nmodel = "{m}"\n' for m in product.upstream.models)
    agents = agents.replace("[[agents]]\n", "[[agents]]\nis_orchestrator = true\n", 1)
    catalog = "".join(
        f'[[models]]\nname = "{model}"\nkind = "chat"\nmax_output_tokens = 500\n'
        f"price = {{ per_million_prompt_tokens = {PROMPT}, per_million_completion_tokens = {COMPLETION} }}\n"
        for model in product.upstream.models
    )
    await factories.import_catalog(product.database, catalog)
    organization = await factories.make_organization(product.database, agents=agents)
    base_url = f"{product.url}/api/external"
    async with httpx.AsyncClient(base_url=base_url, headers=organization.headers, timeout=60) as http:
        yield Team(http, product.database, organization)
