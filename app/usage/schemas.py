import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer

from app.credits.schemas import CreditNumber
from app.credits.spend_days import Spend
from app.usage.service import Group, Line, Usage

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _is_written_out(text: Any) -> Any:
    if isinstance(text, str) and not _DAY.fullmatch(text):
        raise ValueError("must be a day such as 2026-11-30")
    return text


# A number alone would be read as a time in seconds.
Day = Annotated[date, BeforeValidator(_is_written_out)]
_Seconds = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]


class UsageSums(BaseModel):
    """What was used, and the credits that it has cost. What was given back is subtracted."""

    credits: CreditNumber
    calls: int = Field(description="Model calls and generations")
    prompt_tokens: int
    completion_tokens: int
    generation_seconds: _Seconds = Field(description="What the vendor says that generations took")
    files: int

    @classmethod
    def fields_of(cls, spend: Spend) -> dict[str, Any]:
        """Its fields for these sums."""
        return {
            "credits": spend.amount,
            "calls": spend.calls,
            "prompt_tokens": spend.prompt_tokens,
            "completion_tokens": spend.completion_tokens,
            "generation_seconds": spend.predict_time,
            "files": spend.outputs,
        }


class UsageLine(UsageSums):
    """What was used by one day, model, key or agent. It has the fields of what was asked for."""

    day: date | None = Field(default=None, description="In UTC")
    model: str | None = Field(default=None, description="Empty for what names none; null for `others`")
    agent: str | None = Field(default=None, description="Empty for what names none; null for `others`")
    key: str | None = Field(default=None, description="The key's id. Empty for what was done without one")
    key_name: str | None = Field(default=None, description="Null if the key is deleted")
    others: int = Field(default=0, description="How many smaller ones this line is the sum of")

    @classmethod
    def of(cls, line: Line, usage: Usage) -> Self:
        """A line as the API shows it."""
        fields = cls.fields_of(line.spend)
        if line.day is not None:
            fields["day"] = line.day
        for group in usage.groups:
            if group is not Group.DAY:
                fields[group.value] = line.name
                fields["others"] = line.others
            if group is Group.KEY:
                fields["key_name"] = usage.key_names.get(line.name or "")
        return cls(**fields)


class UsageRead(BaseModel):
    """What was used in a period."""

    first: date = Field(serialization_alias="from")
    last: date = Field(serialization_alias="to")
    group_by: list[Group]
    total: UsageSums
    data: list[UsageLine]
    is_complete: bool = Field(description="False while charges of long ago are still being summed up")

    @classmethod
    def of(cls, usage: Usage) -> Self:
        """The usage as the API shows it."""
        return cls(
            first=usage.period.first,
            last=usage.period.last,
            group_by=list(usage.groups),
            total=UsageSums(**UsageSums.fields_of(usage.total)),
            data=[UsageLine.of(line, usage) for line in usage.lines],
            is_complete=usage.is_complete,
        )
