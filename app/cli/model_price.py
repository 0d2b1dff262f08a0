"""`junis catalog price`: the price of one model, without a file."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

import typer

from app.audit.actor import COMMAND_LINE
from app.catalog.models import ModelKind
from app.catalog.service import DEFAULT_MAX_OUTPUT_TOKENS, set_price
from app.catalog.toml import PriceEntry
from app.cli.parameters import parse_amount
from app.cli.printing import tell
from app.cli.transaction import in_transaction

Credits: TypeAlias = Decimal | None
Tokens: TypeAlias = int | None

_UNITS = {"prompt": "per_million_prompt_tokens", "completion": "per_million_completion_tokens"}


def _credits(flag: str, help: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(flag, parser=parse_amount, metavar="CREDITS", help=help)
    return option


def price(
    name: Annotated[str, typer.Argument(help="The model, as its vendor calls it.", show_default=False)],
    prompt: Annotated[Credits, _credits("--prompt", "Chat, embedding: for a million tokens of prompts.")] = None,
    completion: Annotated[Credits, _credits("--completion", "Chat: for a million tokens of answers.")] = None,
    per_call: Annotated[Credits, _credits("--per-call", "For each call, in addition.")] = None,
    per_output: Annotated[Credits, _credits("--per-output", "Generations: for each file.")] = None,
    per_second: Annotated[Credits, _credits("--per-second", "Generations: for a second of computing.")] = None,
    ceiling: Annotated[Credits, _credits("--ceiling", "Generations: the most that one may cost.")] = None,
    max_output_tokens: Annotated[
        Tokens, typer.Option(min=1, help=f"Chat: the longest answer; of a new model {DEFAULT_MAX_OUTPUT_TOKENS}.")
    ] = None,
    context_tokens: Annotated[
        Tokens, typer.Option(min=1, help="Chat: the most of prompt and answer together. Embedding: of one input.")
    ] = None,
    upstream: Annotated[str | None, typer.Option(help="Chat, embedding: which of LLM_UPSTREAMS has the model.")] = None,
    embedding: Annotated[bool, typer.Option("--embedding", help="A model that makes vectors of texts.")] = False,
) -> None:
    """Set the price of one model from now on, and add the model if it is new. That of a free one is 0.

    A chat model has --prompt and --completion, an embedding model --embedding and --prompt. A generation model has
    --ceiling and what it is charged by.
    """
    chat: dict[str, Credits] = {"prompt": prompt, "completion": completion}
    generation = {"per_output": per_output, "per_second": per_second, "ceiling": ceiling}
    properties = {"max_output_tokens": max_output_tokens, "context_tokens": context_tokens, "upstream": upstream}
    if embedding:
        _check_embedding(prompt, {"completion": completion, "max_output_tokens": max_output_tokens, **generation})
    kind = ModelKind.EMBEDDING if embedding else _kind(chat, generation, per_call, properties)
    amounts = {_UNITS.get(unit, unit): amount for unit, amount in {**chat, **generation, "per_call": per_call}.items()}
    said: dict[str, Any] = {unit: amount for unit, amount in amounts.items() if amount is not None}
    done = in_transaction(set_price, name, kind, PriceEntry(**said), actor=COMMAND_LINE, properties=properties)
    tell(f"{name}: {'this is its price from now on' if done.new_prices else 'it has this price already'}")


def _check_embedding(prompt: Credits, others: Mapping[str, object]) -> None:
    _require(prompt=prompt)
    _refuse(others, "an embedding model")


def _kind(
    chat: Mapping[str, Credits],
    generation: Mapping[str, Credits],
    per_call: Credits,
    properties: Mapping[str, object],
) -> ModelKind:
    """The kind of the model whose price has these parts.

    Raises:
        BadParameter: a part is missing, which would give the model away, or belongs to the other kind.
    """
    if any(amount is not None for amount in chat.values()):
        _require(**chat)
        _refuse(generation, "a chat model")
        return ModelKind.CHAT
    units = {name: amount for name, amount in generation.items() if name != "ceiling"} | {"per_call": per_call}
    if generation["ceiling"] is None and per_call is None and all(amount is None for amount in units.values()):
        raise typer.BadParameter("Say --prompt and --completion, or --ceiling and --per-output; 0 if it costs nothing.")
    _require(ceiling=generation["ceiling"])
    if all(amount is None for amount in units.values()):
        raise typer.BadParameter("Say --per-output, --per-second or --per-call; 0 if it costs nothing.")
    _refuse(properties, "a generation model")
    return ModelKind.GENERATION


def _require(**options: object) -> None:
    if missing := [_flag(name) for name, value in options.items() if value is None]:
        raise typer.BadParameter(f"Say {' and '.join(missing)}, too; 0 if it costs nothing.")


def _refuse(options: Mapping[str, object], kind: str) -> None:
    if given := [_flag(name) for name, value in options.items() if value is not None]:
        raise typer.BadParameter(f"{' and '.join(given)}: {kind} has none.")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
