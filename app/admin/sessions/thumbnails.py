"""The contents that turns have made, as their thumbnails show them."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.admin.sessions.turn_rows import ContentRow, OutputRow
from app.storage.protocol import ObjectStore

_UNENDED = frozenset({"pending", "processing"})
_WORDS = {"image": "Image", "video": "Video", "audio": "Sound", "glb": "3D model", "other": "File"}
_STATES = {"pending": ("wait", "Pending"), "processing": ("busy", "Processing"), "failed": ("bad", "Failed")}


@dataclass(frozen=True)
class MediaView:
    """A content in a transcript.

    Attributes:
        id: its id.
        kind: its type; None until it is known.
        word: what it is called.
        urls: the addresses of its files.
        state: how its state is drawn, and the word for it; None once it is completed.
        error: why it has failed.
    """

    id: str
    turn_id: str
    kind: str | None
    word: str
    model: str
    urls: Sequence[str]
    state: tuple[str, str] | None
    error: str | None
    cost: Decimal | None
    is_pending: bool

    @property
    def short_id(self) -> str:
        return self.id[:8]


def media_of(
    contents: Iterable[ContentRow], outputs: Iterable[OutputRow], store: ObjectStore, public_url: str
) -> dict[str, list[MediaView]]:
    """The contents of each turn, oldest first."""
    files: dict[uuid.UUID, list[OutputRow]] = defaultdict(list)
    for output in outputs:
        files[output.generation_id].append(output)
    views: dict[str, list[MediaView]] = defaultdict(list)
    for content in contents:
        urls = [_url_of(content, output, store, public_url) for output in files.get(content.id, ())]
        views[content.turn_id].append(_view(content, urls))
    return views


def addresses_of(media: Mapping[str, Iterable[MediaView]]) -> frozenset[str]:
    """The addresses of all files."""
    return frozenset(url for views in media.values() for view in views for url in view.urls)


def _view(content: ContentRow, urls: Sequence[str]) -> MediaView:
    return MediaView(
        id=str(content.id),
        turn_id=content.turn_id,
        kind=content.content_type if urls else None,
        word=_WORDS.get(content.content_type or "other", "File") if urls else "Content",
        model=content.model,
        urls=urls,
        state=_STATES.get(content.status),
        error=content.error_message,
        cost=content.credit_cost,
        is_pending=content.status in _UNENDED,
    )


def _url_of(content: ContentRow, output: OutputRow, store: ObjectStore, public_url: str) -> str:
    direct = store.public_url(output.storage_path)
    name = output.storage_path.rpartition("/")[2]
    return direct or f"{public_url}/files/{content.file_token}/{name}"
