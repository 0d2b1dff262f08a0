"""What the fields of a request for speech are to a model: `[models.speech]` of a catalog file."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from app.catalog.field_inputs import Name, Values, inputs_of


class SpeechInputs(BaseModel):
    """`[models.speech]`: makes the model one of the Speech API, and says which inputs the request's fields stand for.

    `input` is the name of the text's. Another field without values is refused. `default` marks the model of requests
    that name none.
    """

    model_config = ConfigDict(extra="forbid")

    default: bool = False
    input: Name = "text"
    voice: Values = {}
    response_format: Values = {}
    speed: Values = {}
    instructions: Values = {}

    def of_request(self, model: str, text: str, fields: Mapping[str, str | float | None]) -> dict[str, Any]:
        """The input that a text and these fields stand for.

        Raises:
            InvalidRequestError: the model does not know the value of one of them.
        """
        inputs: dict[str, Any] = {self.input: text}
        for name, value in fields.items():
            if value is not None:
                inputs |= inputs_of(model, name, value, getattr(self, name))
        return inputs
