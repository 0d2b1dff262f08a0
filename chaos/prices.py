"""The prices of a run, and what each call and generation costs by them.

They are written down a second time here, and computed without the product's code, so that an error of the product's
prices cannot hide itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType

_SIX_DECIMALS = Decimal("0.000001")
_MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class ChatPrice:
    """Credits for one model call, and for a million tokens."""

    per_call: Decimal
    per_million_prompt_tokens: Decimal
    per_million_completion_tokens: Decimal

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """What one call costs."""
        tokens = self.per_million_prompt_tokens * prompt_tokens + self.per_million_completion_tokens * completion_tokens
        return _rounded(self.per_call + tokens / _MILLION)


@dataclass(frozen=True)
class GenerationPrice:
    """Credits for one generation, for each second it computes and for each file; at most the ceiling."""

    per_call: Decimal
    per_second: Decimal
    per_output: Decimal
    ceiling: Decimal

    def cost(self, predict_time: Decimal, outputs: int) -> Decimal:
        """What one generation costs."""
        amount = self.per_call + self.per_second * predict_time + self.per_output * outputs
        return min(self.ceiling, _rounded(amount))


CHAT_MODEL, CUT_MODEL, SILENT_MODEL = "sim-chat", "sim-chat--cut-12", "sim-chat--no-usage"
# No two are alike, and few are round, so that a price which is mixed up or rounded otherwise is seen.
CHAT_PRICES: Mapping[str, ChatPrice] = MappingProxyType(
    {
        CHAT_MODEL: ChatPrice(Decimal("0.000107"), Decimal("1.37"), Decimal("2.91")),
        CUT_MODEL: ChatPrice(Decimal(0), Decimal("1.93"), Decimal("4.07")),
        SILENT_MODEL: ChatPrice(Decimal("0.000211"), Decimal("0.83"), Decimal("3.53")),
    }
)
_GENERATION_PRICES: Mapping[str, GenerationPrice] = MappingProxyType(
    {
        "simulator/image": GenerationPrice(Decimal("0.002"), Decimal("0.0137"), Decimal("0.011"), Decimal("0.1")),
        "simulator/text": GenerationPrice(Decimal(0), Decimal("0.0291"), Decimal(0), Decimal("0.2")),
        "simulator/json": GenerationPrice(Decimal("0.000003"), Decimal(0), Decimal("0.000007"), Decimal("0.05")),
        # Every sound reaches its ceiling.
        "simulator/audio": GenerationPrice(Decimal("0.01"), Decimal("0.0137"), Decimal("0.011"), Decimal("0.008")),
        "simulator/glb": GenerationPrice(Decimal("0.004"), Decimal("0.0071"), Decimal("0.013"), Decimal("0.1")),
    }
)


def generation_price(model: str) -> GenerationPrice:
    """The price of a model, whose name may end in faults."""
    return _GENERATION_PRICES[model.partition("--")[0]]


def catalog_of(models: tuple[str, ...]) -> str:
    """The catalog file of a run: the chat models, and these models that generate."""
    chats = [
        f'[[models]]\nname = "{name}"\nkind = "chat"\nmax_output_tokens = 1000\n'
        f"price = {{ per_call = {price.per_call}, per_million_prompt_tokens = {price.per_million_prompt_tokens},"
        f" per_million_completion_tokens = {price.per_million_completion_tokens} }}\n"
        for name, price in CHAT_PRICES.items()
    ]
    return "\n".join([*chats, *(_generation_entry(name, generation_price(name)) for name in models)])


def _generation_entry(name: str, price: GenerationPrice) -> str:
    return (
        f'[[models]]\nname = "{name}"\nkind = "generation"\nprice = {{ per_call = {price.per_call},'
        f" per_second = {price.per_second}, per_output = {price.per_output}, ceiling = {price.ceiling} }}\n"
    )


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_SIX_DECIMALS, ROUND_HALF_UP)
