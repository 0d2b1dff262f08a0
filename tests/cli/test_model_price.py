from decimal import Decimal
from pathlib import Path

import pytest

from app.catalog.errors import ModelNotPricedError
from app.catalog.repository import find_model
from app.catalog.service import get_chat_model, get_embedding_model, get_generation_model
from app.cli.transaction import in_transaction
from tests.cli.conftest import Junis


def test_a_new_chat_model_can_be_called_at_that_price(database_url: str, junis: Junis) -> None:
    set_ = junis("catalog", "price", "llama3.2", "--prompt", "0.15", "--completion", "0.6")

    model = in_transaction(get_chat_model, "llama3.2")
    assert (set_.status, set_.stderr) == (0, "llama3.2: this is its price from now on\n")
    assert model.price.per_million_prompt_tokens == Decimal("0.15")
    assert model.price.per_million_completion_tokens == Decimal("0.6")
    assert model.max_output_tokens == 4096


def test_a_second_price_holds_from_now_on_and_what_else_is_known_is_kept(database_url: str, junis: Junis) -> None:
    options = ("--max-output-tokens", "900", "--context-tokens", "8192", "--upstream", "local")
    junis("catalog", "price", "llama3.2", "--prompt", "1", "--completion", "2", *options)

    changed = junis("catalog", "price", "llama3.2", "--prompt", "0", "--completion", "0")
    again = junis("catalog", "price", "llama3.2", "--prompt", "0", "--completion", "0")

    model = in_transaction(get_chat_model, "llama3.2")
    assert (changed.status, again.status) == (0, 0)
    assert "this is its price from now on" in changed.stderr
    assert "it has this price already" in again.stderr
    assert model.price.per_million_prompt_tokens == 0
    assert model.price.per_million_completion_tokens == 0
    assert (model.max_output_tokens, model.context_tokens, model.upstream) == (900, 8192, "local")


def test_a_generation_model_has_a_ceiling(database_url: str, junis: Junis) -> None:
    junis("catalog", "price", "acme/painter", "--per-output", "0.003", "--ceiling", "0.012")

    price = in_transaction(get_generation_model, "acme/painter").price
    assert (price.per_output, price.ceiling) == (Decimal("0.003"), Decimal("0.012"))


def test_an_embedding_model_has_a_price_of_prompts(database_url: str, junis: Junis) -> None:
    refused = junis("catalog", "price", "embedder", "--embedding", "--prompt", "1", "--completion", "1")
    done = junis("catalog", "price", "embedder", "--embedding", "--prompt", "0.02", "--upstream", "local")

    model = in_transaction(get_embedding_model, "embedder")
    assert (refused.status, done.status) == (2, 0)
    assert "--completion: an embedding model has none" in refused.stderr
    assert (model.price.per_million_prompt_tokens, model.upstream) == (Decimal("0.02"), "local")


def test_a_model_that_was_switched_off_is_on_again(database_url: str, junis: Junis) -> None:
    junis("catalog", "price", "acme/painter", "--per-call", "1", "--ceiling", "1")
    Path("off.toml").write_text(
        '[[models]]\nname = "acme/painter"\nkind = "generation"\nis_active = false\n'
        "price = { per_call = 1, ceiling = 1 }\n"
    )
    junis("catalog", "import", "off.toml")

    junis("catalog", "price", "acme/painter", "--per-call", "2", "--ceiling", "2")

    assert in_transaction(get_generation_model, "acme/painter").price.per_call == 2


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ([], "Say --prompt and --completion"),
        (["--prompt", "1"], "Say --completion, too; 0 if it costs nothing"),
        (["--completion", "1"], "Say --prompt, too; 0 if it costs nothing"),
        (["--prompt", "-1", "--completion", "1"], "is negative"),
        (["--prompt", "…", "--completion", "…"], "is not an amount"),
        (["--prompt", "1", "--completion", "1", "--ceiling", "1"], "--ceiling: a chat model has none"),
        (["--per-output", "1"], "Say --ceiling, too"),
        (["--ceiling", "1"], "Say --per-output, --per-second or --per-call"),
        (["--per-output", "1", "--ceiling", "1", "--upstream", "x"], "--upstream: a generation model has none"),
    ],
)
def test_a_price_of_which_a_part_is_missing_or_wrong_is_refused(
    database_url: str, junis: Junis, options: list[str], refusal: str
) -> None:
    refused = junis("catalog", "price", "model", *options)

    assert refused.status == 2
    assert refusal in " ".join(refused.stderr.split())
    assert in_transaction(find_model, "model") is None


def test_a_model_keeps_its_kind(database_url: str, junis: Junis) -> None:
    junis("catalog", "price", "model", "--prompt", "1", "--completion", "1")

    refused = junis("catalog", "price", "model", "--per-output", "1", "--ceiling", "1")

    assert refused.status == 1
    assert "model is a chat model" in refused.stderr


def test_the_refusal_of_a_model_without_a_price_names_the_line_that_mends_it(database_url: str, junis: Junis) -> None:
    name = "openrouter/meta llama:free"
    with pytest.raises(ModelNotPricedError) as refused:
        in_transaction(get_chat_model, name)

    line = f"junis catalog price '{name}' --prompt … --completion …"
    assert f": {line} (under Compose: docker compose exec api {line}; " in refused.value.text
    assert f"beside make quickstart: .data/{line})" in refused.value.text
    assert "0, if it is free, must be said" in refused.value.text
