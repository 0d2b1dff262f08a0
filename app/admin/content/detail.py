"""What the page of one content shows: pure functions from rows to words, sums and texts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from app.admin.content.detail_queries import AttemptRow, Charge
from app.admin.content.media import MediaUrls
from app.admin.content.views import KINDS, STATUSES, Media, media_of
from app.content.schemas import ContentDetail
from app.content.service import ContentWithOutputs
from app.content.urls import FileUrls
from app.generations.media_types import ContentType
from app.generations.states import Status

# A prompt may be megabytes; a page is to stay small.
MOST_TEXT: Final = 7000
_ENDED: Final = (Status.COMPLETED, Status.FAILED)


@dataclass(frozen=True)
class File:
    """A stored file of a content. `is_there` is None if the store could not say."""

    media: Media
    path: str
    size_bytes: int
    sha256: str
    kind: str
    is_there: bool | None


@dataclass(frozen=True)
class CostLine:
    """A quantity and what one of it cost."""

    what: str
    quantity: str
    unit: str
    price: Decimal


@dataclass(frozen=True)
class Detail:
    """One content.

    Attributes:
        id, short: its id, and the first digits, which its files are named with.
        icon, kind: the symbol and name of its type.
        state, word, status: the shape and word of its status.
        prompt: as much of it as is shown, and `is_prompt_cut`.
        input: the parameters as JSON, shortened if `is_input_cut`.
        api: what `GET /content/{id}` answers, shortened if `is_api_cut`.
        files: its files.
        first: the attempt that was asked for first, which says by whom; None if nothing is known of it.
        version: see `State`; None once it has ended.
    """

    id: str
    short: str
    icon: str
    kind: str
    state: str
    word: str
    status: Status
    prompt: str
    is_prompt_cut: bool
    input: str
    is_input_cut: bool
    api: str
    is_api_cut: bool
    files: Sequence[File]
    first: AttemptRow | None
    error: str
    model: str
    prediction_id: str | None
    retry_count: int
    retries_left: int
    max_retries: int
    version: str | None

    @property
    def is_ended(self) -> bool:
        """Whether it goes on only if somebody retries it."""
        return self.status in _ENDED


def detail_of(
    item: ContentWithOutputs,
    attempts: Sequence[AttemptRow],
    urls: MediaUrls,
    api_urls: FileUrls,
    presence: Sequence[bool | None],
    version: str | None,
) -> Detail:
    """The page's content."""
    content = item.content
    status = Status(content.status)
    icon, kind, _ = KINDS[ContentType(content.content_type) if content.content_type else None]
    state, word = STATUSES[status]
    prompt, is_prompt_cut = cut(content.prompt, MOST_TEXT // 5)
    values, is_input_cut = cut(pretty(content.input), MOST_TEXT)
    api, is_api_cut = cut(_api_response(item, api_urls), MOST_TEXT)
    return Detail(
        id=str(content.id),
        short=str(content.id)[:8],
        icon=icon,
        kind=kind,
        state=state,
        word=word,
        status=status,
        prompt=prompt,
        is_prompt_cut=is_prompt_cut,
        input=values,
        is_input_cut=is_input_cut,
        api=api,
        is_api_cut=is_api_cut,
        files=_files_of(item, urls, presence),
        first=next((row for row in attempts if row.number == 0), None),
        error=cut(content.error_message or "", MOST_TEXT // 5)[0],
        model=content.model,
        prediction_id=content.prediction_id,
        retry_count=content.retry_count,
        retries_left=content.max_retries - content.retry_count,
        max_retries=content.max_retries,
        version=None if status in _ENDED else version,
    )


def _api_response(item: ContentWithOutputs, urls: FileUrls) -> str:
    return pretty(ContentDetail.of(item, urls).model_dump(mode="json", exclude_unset=True))


def _files_of(item: ContentWithOutputs, urls: MediaUrls, presence: Sequence[bool | None]) -> list[File]:
    files = []
    for output, is_there in zip(item.outputs, presence, strict=True):
        content_type = ContentType(output.content_type)
        media = media_of(content_type, output.media_type, urls.of(item.content, output))
        size, sha256 = output.size_bytes or 0, output.sha256 or ""
        files.append(File(media, output.storage_path, size, sha256, KINDS[content_type][1], is_there))
    return files


def cost_lines(charge: Charge) -> list[CostLine]:
    """What a charge was computed from: every unit that has a price."""
    lines = []
    if charge.per_call:
        lines.append(CostLine("Calls", "1", "call", charge.per_call))
    if charge.per_second:
        ran = "not reported" if charge.predict_time is None else f"{charge.predict_time.normalize():f} s"
        lines.append(CostLine("Ran", ran, "second", charge.per_second))
    if charge.per_output:
        lines.append(CostLine("Files", str(charge.outputs or 0), "file", charge.per_output))
    return lines


def is_capped(charge: Charge) -> bool:
    """Whether the quantities would have cost more than the ceiling."""
    computed = charge.per_call + charge.per_output * (charge.outputs or 0)
    computed += charge.per_second * (charge.predict_time or 0)
    return charge.ceiling is not None and computed > charge.ceiling


def pretty(value: Any) -> str:
    """A value as JSON on several lines."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def cut(text: str, most: int) -> tuple[str, bool]:
    """The text's first `most` characters, and whether there were more."""
    return (text, False) if len(text) <= most else (text[:most] + "…", True)
