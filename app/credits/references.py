"""The references of holds and ledger entries, each of which is used once, as text and as SQL."""

import uuid

_TURN = "turn"
_GENERATION = "generation"
_EMBEDDINGS = "embeddings"
_MONTHLY = "monthly"
_ADJUSTMENT = "adjustment"
# A charge for a metering event that came after its hold had ended, and the refund of a superseded hold's charges.
LATE = "late"
SUPERSEDED = "superseded"

_RESERVED = (_TURN, _GENERATION, _EMBEDDINGS, _MONTHLY, _ADJUSTMENT, LATE, SUPERSEDED)

# Matches the references of all generations.
GENERATIONS_LIKE = f"{_GENERATION}:%"
# SQL: whether an entry is the charge of a request, which is a turn, or gives it back in favour of another run of it.
IS_REQUEST = f"starts_with(reference, '{_TURN}:') OR starts_with(reference, '{SUPERSEDED}:{_TURN}:')"


def is_reserved(reference: str) -> bool:
    """Whether the server itself may use this reference. An operator who used it first would keep it from doing so."""
    return reference.startswith(tuple(f"{prefix}:" for prefix in _RESERVED))


def turn_reference(turn_id: str) -> str:
    """What a chat turn is held and charged under."""
    return f"{_TURN}:{turn_id}"


def embeddings_reference(request_id: str) -> str:
    """What a request for embeddings is held and charged under."""
    return f"{_EMBEDDINGS}:{request_id}"


def is_of_embeddings(reference: str) -> bool:
    """Whether this is the reference of a request for embeddings."""
    return reference.startswith(f"{_EMBEDDINGS}:")


def generation_reference(content_id: uuid.UUID, attempt: int) -> str:
    """What an attempt of a generation is held and charged under."""
    return f"{_GENERATION}:{content_id}:{attempt}"


def generation_reference_sql(content_id: str, attempt: str) -> str:
    """`generation_reference` in SQL, of two expressions."""
    return f"format('{_GENERATION}:%s:%s', {content_id}, {attempt})"


def content_id_sql(reference: str) -> str:
    """The content's id, as text, in the reference of one of its attempts: in SQL, of an expression."""
    return f"split_part({reference}, ':', 2)"


def adjustment_reference(name: str) -> str:
    """What an operator's adjustment is entered under. The prefix keeps it apart from every other reference."""
    return f"{_ADJUSTMENT}:{name}"


def monthly_reference_sql(organization_id: str, period: str) -> str:
    """What an organization's credits for a month are granted under: in SQL, of two expressions."""
    return f"format('{_MONTHLY}:%s:%s', {organization_id}, {period})"
