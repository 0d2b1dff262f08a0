from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

Json = dict[str, Any]

ORCHESTRATOR = "junis-orchestrator"


@dataclass(frozen=True)
class Case:
    """One scenario of a run: which clients it may ask with, and how its requests are known again.

    The clients have the SDK's own settings, its repetitions included, and are called by what their keys are good for.
    """

    name: str
    run: str
    clients: Mapping[str, OpenAI]

    @property
    def id(self) -> str:
        """What the requests of the scenario are called, by the server and by the model's vendor."""
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
        """Have a model answer these words."""
        return client.chat.completions.create(
            model=model,
            messages=says(words),
            user=self.id,
            extra_headers={**self.headers, **(headers or {})},
            extra_body=body,
        )


def says(words: str) -> list[ChatCompletionMessageParam]:
    """A conversation in which a user says these words."""
    return [{"role": "user", "content": words}]
