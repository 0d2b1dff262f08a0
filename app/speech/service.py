"""What a request for speech is to the models of the catalog."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from app.api_keys.caller import Caller
from app.catalog import service as catalog
from app.core.database import Transaction
from app.direct_generations.service import Asked, Wanted
from app.idempotency.service import IdempotentRequest


@dataclass(frozen=True)
class SpeechAsked:
    """A caller's request to have a text spoken. The catalog says what its `fields` are to the model."""

    caller: Caller
    text: str
    model: str | None
    fields: Mapping[str, str | float | None]
    idempotent: IdempotentRequest | None
    max_credits: Decimal | None = None

    def asked(self) -> Asked:
        """The request for its generation."""
        return Asked(self.caller, 1, self.idempotent, self._choose, self.max_credits)

    async def _choose(self, tx: Transaction) -> Wanted:
        model, inputs = await catalog.get_speech_model(tx, self.model)
        return Wanted(model, inputs.of_request(model, self.text, self.fields))
