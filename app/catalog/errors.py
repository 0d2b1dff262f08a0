import shlex
from typing import Self

from app.core.errors import AppError, InvalidRequestError


class UnknownModelError(InvalidRequestError):
    message = "Unknown model"


class ModelNotPricedError(AppError):
    """A model without a price is refused: a call of it would cost the operator money that nobody pays back."""

    status = 502
    type = "provider_error"
    code = "model_not_priced"
    message = "The model has no price in the catalog"

    @classmethod
    def for_chat(cls, name: str) -> Self:
        """The refusal of a chat model, with the line by which the operator gives it a price."""
        return cls(
            f"The model {name} has no price in the catalog. Whoever runs this server sets one, in credits for a million"
            f" tokens (0, if it is free, must be said): {_either_way(chat_price_command(name))}"
        )

    @classmethod
    def for_embeddings(cls, name: str) -> Self:
        """The refusal of an embedding model, with the line by which the operator gives it a price."""
        return cls(
            f"The embedding model {name} has no price in the catalog. Whoever runs this server sets one, in credits for"
            f" a million tokens (0, if it is free, must be said): {_either_way(embedding_price_command(name))}"
        )

    @classmethod
    def for_generation(cls, name: str) -> Self:
        """The refusal of a generation model, with the line by which the operator gives it a price."""
        return cls(
            f"The model {name} has no price with a ceiling in the catalog. Whoever runs this server sets one, in"
            f" credits (0, if it is free, must be said): {_either_way(generation_price_command(name))}"
        )


def chat_price_command(name: str, junis: str = "junis") -> str:
    """The line that gives a chat model a price. `junis` is how the command is called there."""
    return f"{junis} catalog price {shlex.quote(name)} --prompt … --completion …"


def embedding_price_command(name: str, junis: str = "junis") -> str:
    """The line that gives an embedding model a price; see `chat_price_command`."""
    return f"{junis} catalog price {shlex.quote(name)} --embedding --prompt …"


def generation_price_command(name: str, junis: str = "junis") -> str:
    """The line that gives a generation model a price; see `chat_price_command`."""
    return f"{junis} catalog price {shlex.quote(name)} --per-output … --ceiling …"


def _either_way(command: str) -> str:
    # A process does not know how it was started.
    return f"{command} (under Compose: docker compose exec api {command}; beside make quickstart: .data/{command})"


class CatalogFileError(InvalidRequestError):
    message = "The catalog file cannot be read"
