from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

Json = dict[str, Any]

ORCHESTRATOR = "junis-orchestrator"


@dataclass(frozen=True)
class Case:
    """One scenario of a run: the clients that it may use, and the id by which its requests are recognized.

    The clients have the SDK's default settings, including its retries, and are named by what their keys may do.
    """

    name: str
    run: str
    clients: Mapping[str, OpenAI]

    @property
    def id(self) -> str:
        """The id of the scenario's requests, both at the server and at the model's vendor."""
        return f"{self.run}.{self.name}"

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Request-ID": self.id}

    def client(self, key: str = "every_scope") -> OpenAI:
        return self.clients[key]

    def ask(
        self,
        client: OpenAI,
        words: str = "Hello!",
        *,
        model: str = ORCHESTRATOR,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> ChatCompletion:
        """Ask a model to answer these words."""
        return client.chat.completions.create(
            model=model,
            messages=says(words),
            user=self.id,
            extra_headers={**self.headers, **(headers or {})},
            extra_body=body,
        )


def says(words: str) -> list[ChatCompletionMessageParam]:
    """A conversation of one user message with these words."""
    return [{"role": "user", "content": words}]
