"""What a reader has typed into a page's form, and what is wrong with it."""

import hmac
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Final

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from app.admin.errors import StaleFormError
from app.core.errors import AppError

CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "X-CSRF-Token"
_MOST_FIELDS: Final = 1000
_MOST_FIELD_BYTES: Final = 1024 * 1024
# Postgres's largest numeric(18, 6).
_MOST_CREDITS: Final = Decimal("999999999999.999999")


@dataclass
class Form:
    """A form: what was typed, field by field, and the refusals so far. An empty one is shown at first.

    Attributes:
        values: the texts of every field, as they were typed.
        files: what was uploaded, by field.
        errors: by field, a sentence that says what is allowed. The name "" is for what belongs to no field.
    """

    values: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, UploadFile] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, object]) -> "Form":
        """A form that shows these values: None as nothing, sequences as several values."""
        return cls({name: _texts(value) for name, value in values.items()})

    def value(self, name: str, default: str = "") -> str:
        """What was typed into a field, unchanged."""
        return next(iter(self.values.get(name, ())), default)

    def has(self, name: str, value: str | None = None) -> bool:
        """Whether the form has the field, or this value of it: whether a box is ticked."""
        found = self.values.get(name)
        return found is not None and (value is None or value in found)

    def texts(self, name: str) -> list[str]:
        """All values of a field: the boxes that are ticked."""
        return list(self.values.get(name, []))

    def text(self, name: str, *, most: int = 200, is_optional: bool = False, label: str | None = None) -> str:
        """A line of text without the white space at its ends. Too long or missing is a refusal."""
        text = self.value(name).strip()
        if "\0" in text:
            self.error(name, "A character in it cannot be stored. Type it again.")
        elif len(text) > most:
            self.error(name, f"{label or 'It'} has {len(text):,} characters. At most {most:,} are allowed.")
        elif not text and not is_optional:
            self.error(name, f"Enter {(label or 'something').lower()}.")
        return text

    def whole(self, name: str, *, least: int, most: int, is_optional: bool = False) -> int | None:
        """A whole number in a range; None if the field is empty and may be, or if it was refused."""
        text = self.value(name).strip().replace(",", "")
        if not text and is_optional:
            return None
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
        if number is None or not least <= number <= most:
            self.error(name, f"Enter a whole number from {least:,} to {most:,}.")
            return None
        return number

    def decimal(
        self,
        name: str,
        *,
        least: Decimal,
        most: Decimal = _MOST_CREDITS,
        places: int = 6,
        is_optional: bool = False,
    ) -> Decimal | None:
        """A decimal number in a range; None if the field is empty and may be, or if it was refused."""
        text = self.value(name).strip().replace(",", "").replace("\N{MINUS SIGN}", "-")
        if not text and is_optional:
            return None
        try:
            number = Decimal(text) if len(text) < 40 else None
        except InvalidOperation:
            number = None
        if number is None or not number.is_finite() or not least <= number <= most:
            self.error(name, f"Enter a number from {least:,} to {most:,}.")
            return None
        if number != number.quantize(Decimal(1).scaleb(-places)):
            self.error(name, f"At most {places} decimals are kept. Enter fewer.")
            return None
        return number

    def one_of(self, name: str, allowed: Sequence[str]) -> str:
        """One of some values. Another one did not come from the page, and is refused."""
        value = self.value(name)
        if value not in allowed:
            self.error(name, f"Choose one of: {', '.join(allowed)}.")
        return value

    def require_typed(self, name: str, expected: str, refusal: str) -> None:
        """Refuse the form unless a field holds the name that the page has asked for."""
        if self.value(name).strip() != expected.strip():
            self.error(name, refusal)

    def error(self, name: str, sentence: str) -> None:
        """Note a refusal. The first one of each field stands."""
        self.errors.setdefault(name, sentence)

    @contextmanager
    def refusing(self, name: str = "") -> Iterator[None]:
        """Turn a refusal of a service in the block into that of a field. Unavailable servers are no refusal."""
        try:
            yield
        except AppError as error:
            if error.status >= 500:
                raise
            self.error(error.param if error.param in self.values else name, sentence_of(error))


def sentence_of(error: AppError) -> str:
    """What a refusal says, as a sentence."""
    text = error.text.strip()
    return text if text.endswith((".", "?", "!")) else f"{text}."


async def read_form(request: Request) -> Form:
    """The form of a request, parsed once however often it is asked for."""
    form: Form | None = getattr(request.state, "console_form", None)
    if form is None:
        form = _form_of(await request.form(max_fields=_MOST_FIELDS, max_part_size=_MOST_FIELD_BYTES))
        request.state.console_form = form
    return form


async def check_token(request: Request, expected: str | None) -> None:
    """Require the token of the reader's session in the form, or in the header that scripts set.

    Raises:
        StaleFormError: it is missing, another one, or nothing is expected because there is no session.
    """
    shown = request.headers.get(CSRF_HEADER) or (await read_form(request)).value(CSRF_FIELD)
    if not expected or not hmac.compare_digest(shown.encode(), expected.encode()):
        raise StaleFormError


def is_cross_site(request: Request) -> bool:
    """Whether a browser says that another site has sent the request. Over plain HTTP browsers say nothing."""
    return request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}


def _form_of(data: FormData) -> Form:
    form = Form()
    for name, value in data.multi_items():
        if isinstance(value, UploadFile):
            form.files[name] = value
        else:
            # Browsers send line breaks as two characters.
            form.values.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return form


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, (list, tuple, set, frozenset)):
        return [str(item) for item in value]
    return [str(value)]
