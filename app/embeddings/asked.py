"""What is asked for and what comes of it, in no wire form."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

from app.api_keys.caller import Caller
from app.embeddings.inputs import Inputs
from app.embeddings.vectors import Vector
from app.idempotency.service import IdempotentRequest


@dataclass(frozen=True)
class EmbeddingsRequestOf:
    """A caller's request for the embeddings of inputs. `parameters` are passed on to the model's server.

    `max_credits` is the most that it may cost; None if there is no limit.
    """

    caller: Caller
    model: str
    inputs: Inputs
    parameters: Mapping[str, Any]
    idempotent: IdempotentRequest | None
    max_credits: Decimal | None = None


@dataclass(frozen=True)
class EmbeddingsResult:
    """The vectors of the inputs, and the tokens that were paid for. `is_replayed`: it was stored by an earlier run."""

    model: str
    vectors: Sequence[Vector]
    tokens: int
    is_replayed: bool = False

    @property
    def size(self) -> int:
        """Bytes of all vectors."""
        return sum(map(len, self.vectors))

    def to_json(self) -> dict[str, Any]:
        """The result as it is stored for a repeated request."""
        vectors = [base64.b64encode(vector).decode() for vector in self.vectors]
        return {"model": self.model, "vectors": vectors, "tokens": self.tokens}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The result that was stored."""
        vectors = [base64.b64decode(vector) for vector in stored["vectors"]]
        return cls(stored["model"], vectors, stored["tokens"], is_replayed=True)
