from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class AsSent:
    """Marks a JSON object that is checked by a model, and then kept as the client sent it.

    A model with all unknown fields would copy each of them twice, and there may be very many.
    """

    model: type[BaseModel]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of the model, which is also what the documentation of the API shows."""
        return core_schema.no_info_wrap_validator_function(_check, handler.generate_schema(self.model))


def _check(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    check(value)
    return value
