"""What requests for images, new or changed, are to the models of the catalog."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from app.api_keys.caller import Caller
from app.catalog import service as catalog
from app.core.database import Transaction
from app.direct_generations.service import Asked, Wanted
from app.idempotency.service import IdempotentRequest
from app.images.pictures import Pictures
from app.input_files.service import SentFiles


@dataclass(frozen=True)
class ImagesAsked:
    """A caller's request for `count` images, new or changed. The catalog says what its `fields` are to the model.

    `max_credits` is the most that all of them may cost; None if there is no limit.
    """

    caller: Caller
    prompt: str
    model: str | None
    count: int
    fields: Mapping[str, str | None]
    idempotent: IdempotentRequest | None
    max_credits: Decimal | None = None
    # What is to be changed; None if the images are new ones.
    pictures: Pictures | None = None

    def asked(self) -> Asked:
        """The request for their generations."""
        return Asked(self.caller, self.count, self.idempotent, self._choose, self.max_credits)

    async def _choose(self, tx: Transaction) -> Wanted:
        if self.pictures is None:
            model, inputs = await catalog.get_image_model(tx, self.model)
            return Wanted(model, {"prompt": self.prompt, **inputs.of_fields(model, self.fields)})
        model, edits = await catalog.get_edit_model(tx, self.model)
        request_key = self.idempotent.request_key if self.idempotent else None
        sent = await SentFiles.of(tx, self.caller.organization_id, request_key, self.pictures.sent)
        images, mask = self.pictures.named(sent.names)
        values = {**edits.of_images(model, images, mask), **edits.of_fields(model, self.fields)}
        return Wanted(model, {"prompt": self.prompt, **values}, sent)
