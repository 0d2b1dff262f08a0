"""What the pages of content show: pure functions from rows to words, addresses and shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from app.admin.content.media import MediaUrls
from app.admin.content.queries import PROMPT_IN_LIST, Card
from app.generations.media_types import ContentType
from app.generations.states import Status

# The name of the kind's symbol, and what one and several are called.
KINDS: Final[Mapping[ContentType | None, tuple[str, str, str]]] = MappingProxyType(
    {
        ContentType.IMAGE: ("content", "Image", "Images"),
        ContentType.VIDEO: ("play", "Video", "Videos"),
        ContentType.AUDIO: ("sound", "Audio", "Audio"),
        ContentType.GLB: ("cube", "3D model", "3D models"),
        ContentType.OTHER: ("download", "File", "Other files"),
        None: ("clock", "Content", "Content"),
    }
)
# The state's shape and word.
STATUSES: Final[Mapping[Status, tuple[str, str]]] = MappingProxyType(
    {
        Status.PENDING: ("wait", "Pending"),
        Status.PROCESSING: ("busy", "Processing"),
        Status.COMPLETED: ("ok", "Completed"),
        Status.FAILED: ("bad", "Failed"),
    }
)
_SHOWN_IN_PLACE: Final = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")


@dataclass(frozen=True)
class Media:
    """A stored file in a page. `kind` is what shows it: image, video, audio, glb, or other for a download."""

    kind: str
    url: str
    name: str
    media_type: str


@dataclass(frozen=True)
class Tile:
    """One content in the gallery.

    Attributes:
        id: the content's id.
        title: the prompt, shortened.
        icon, kind: the symbol and name of its type.
        state, word: the shape and word of its status.
        media: its first file, if it has one.
        note: what stands in the place of a picture that is not there, and `note_state`, its colour.
        since: since when it is under way; None once it has ended.
        retries_left: how often a failed one may be retried.
        version: changes whenever the tile does; None once nothing will change it by itself.
    """

    id: str
    title: str
    icon: str
    kind: str
    state: str
    word: str
    media: Media | None
    note: str
    note_state: str
    since: datetime | None
    card: Card
    retries_left: int
    version: str | None


def tile_of(card: Card, urls: MediaUrls) -> Tile:
    """The tile of a content."""
    icon, kind, _ = KINDS[card.content_type]
    state, word = STATUSES[card.status]
    is_ended = card.status in {Status.COMPLETED, Status.FAILED}
    media = None
    if card.storage_path and card.media_type and card.content_type:
        media = media_of(card.content_type, card.media_type, urls.at(card.file_token, card.storage_path))
    note, note_state = _note_of(card)
    return Tile(
        id=str(card.id),
        title=shortened(card.prompt, PROMPT_IN_LIST) or f"Made by {card.model}",
        icon=icon,
        kind=kind,
        state=state,
        word=word,
        media=media,
        note=note,
        note_state=note_state,
        since=None if is_ended else card.created_at,
        card=card,
        retries_left=card.max_retries - card.retry_count,
        version=None if is_ended else version_of(card),
    )


def version_of(card: Card) -> str:
    """The same text as `State.version` of the same row."""
    return f"{card.status.value}-{card.retry_count}-{card.is_parked:d}{card.is_started:d}{card.is_finished:d}"


def media_of(content_type: ContentType, media_type: str, url: str) -> Media:
    """How a page shows a stored file. What a browser does not show in place is offered as a download."""
    kind = content_type.value
    if content_type is ContentType.IMAGE and media_type not in _SHOWN_IN_PLACE:
        kind = ContentType.OTHER.value
    return Media(kind, url, url.partition("?")[0].rpartition("/")[2], media_type)


def _note_of(card: Card) -> tuple[str, str]:
    if card.status is Status.FAILED:
        return shortened(card.error_message or "", 90), "bad"
    if card.status is Status.COMPLETED:
        return "The file is not there", "off"
    return under_way(card), "busy" if card.status is Status.PROCESSING else ""


def under_way(card: Card) -> str:
    """What an unfinished content waits for."""
    if card.status is Status.PENDING:
        return "Waits for its turn: your plan's number is running" if card.is_parked else "In the queue"
    if card.is_finished:
        return "Copying to storage"
    return "At Replicate" if card.is_started else "Starting at Replicate"


def shortened(text: str, most: int) -> str:
    """Text of one line, cut at `most` characters with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
