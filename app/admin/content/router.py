import uuid
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from app.admin import filters
from app.admin.access import MemberUser, SignedIn, Viewer
from app.admin.content import detail_queries, gallery, live_queries, queries, retrying, views
from app.admin.content.detail import cost_lines, detail_of, is_capped
from app.admin.content.live import Streams, follow
from app.admin.content.live_queries import State
from app.admin.content.media import MODEL_VIEWER, MediaUrls
from app.admin.content.presence import look_at_files
from app.admin.content.queries import Card
from app.admin.content.timeline import attempts_of
from app.admin.forms import read_form
from app.admin.rendering import render, see_other
from app.admin.sign_in.cookies import SESSION_COOKIE, token_in
from app.admin.sign_in.queries import find_session
from app.content import service as contents
from app.content.errors import ContentNotFoundError
from app.content.urls import FileUrls
from app.core import sse
from app.core.clock import now
from app.core.crypto import sha256
from app.core.database import Database, Transaction
from app.core.errors import AppError
from app.dependencies import DatabaseDep, QueueDep, SettingsDep, StoreDep, TransactionDep
from app.generations.dependencies import GenerationPolicyDep
from app.generations.models import Generation
from app.organizations.models import MembershipRole
from app.rate_limits.dependencies import get_limiter

router = APIRouter()

_PAGE = 48
_MOST_WATCHED = 100


@router.get("/content")
async def list_content(
    request: Request, viewer: SignedIn, tx: TransactionDep, store: StoreDep, q: str = "", cursor: str | None = None
) -> Response:
    """The organization's content as a gallery, newest first."""
    given = gallery.given_in(request.query_params)
    words = gallery.text_in(request.query_params, "q")
    zone = filters.zone_of(request.cookies.get("junis_zone"))
    mine = _only_of(viewer)
    wanted = gallery.wanted_of(given, zone, organization_id=viewer.organization_id, user_id=mine, cursor=cursor)
    found = queries.Found(await queries.find_by_id(tx, wanted, words, size=_PAGE), None) if words else None
    found = found or await queries.list_content(tx, wanted, size=_PAGE)
    keys = await queries.list_keys(tx, viewer.organization_id, mine)
    return render(
        request,
        "content/list.html",
        viewer,
        title="Content",
        here="content",
        tiles=[views.tile_of(card, MediaUrls(store)) for card in found.cards],
        next=gallery.cursor_of(found.next),
        is_cut=found.is_cut,
        scanned=queries.SCANNED,
        is_first=wanted.after is None,
        words=words,
        given=given,
        pills=gallery.pills_of(given, keys),
        types=gallery.TYPES,
        statuses=gallery.STATUS_WORDS,
        periods=gallery.PERIODS,
        agents=[(agent.value, agent.words) for agent in await queries.list_agents(tx, viewer.organization_id)],
        keys=[(key.value, key.words) for key in keys],
        is_own_only=mine is not None,
        here_again=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
    )


@router.get("/content/events")
async def follow_several(request: Request, viewer: SignedIn, database: DatabaseDep, known: str = "") -> Response:
    """Events for the contents of a page of the gallery; `known` is `id:version`, with commas between them."""
    pairs = [pair.partition(":") for pair in known.split(",")[:_MOST_WATCHED]]
    versions = {content_id: version for content_id, _, version in pairs if _is_id(content_id)}
    return _stream(request, viewer, database, versions)


@router.get("/content/{content_id}/events")
async def follow_one(
    content_id: str, request: Request, viewer: SignedIn, database: DatabaseDep, known: str = ""
) -> Response:
    """Events for one content; `known` is its id and the version that the page shows, as for several."""
    async with database.transaction() as tx:
        await _find_card(tx, viewer, content_id)
    return _stream(request, viewer, database, {str(uuid.UUID(content_id)): known.rpartition(":")[2]})


@router.get("/content/{content_id}/tile")
async def show_tile(
    content_id: str, request: Request, viewer: SignedIn, tx: TransactionDep, store: StoreDep
) -> Response:
    """One tile of the gallery, for a page that has heard of a change."""
    tile = views.tile_of(await _find_card(tx, viewer, content_id), MediaUrls(store))
    return render(request, "content/tile.html", viewer, title=tile.title, tile=tile)


@router.get("/content/{content_id}")
async def show_content(
    content_id: str, request: Request, viewer: SignedIn, database: DatabaseDep, store: StoreDep, settings: SettingsDep
) -> Response:
    """One content: what it is, how it came about, what it cost."""
    return await _show(content_id, request, viewer, database, FileUrls(store, settings.public_url))


@router.post("/content/{content_id}/retry")
async def retry_content(
    content_id: str,
    request: Request,
    viewer: MemberUser,
    database: DatabaseDep,
    store: StoreDep,
    settings: SettingsDep,
    queue: QueueDep,
    policy: GenerationPolicyDep,
) -> Response:
    """Queue a failed content again. A refusal is said on its page."""
    form = await read_form(request)
    attempt = form.whole("attempt", least=0, most=10_000)
    async with database.transaction() as tx:
        await _find_card(tx, viewer, content_id)
    try:
        await retrying.retry(database, queue, get_limiter(request), policy, viewer, content_id, attempt or 0)
    except AppError as error:
        if error.status >= 500 or isinstance(error, ContentNotFoundError):
            raise
        urls = FileUrls(store, settings.public_url)
        refusal = retrying.refusal_of(error)
        return await _show(content_id, request, viewer, database, urls, status=error.status, refusal=refusal)
    return see_other(request, f"/content/{content_id}", note="It is queued again. This page shows how far it is.")


async def _show(
    content_id: str,
    request: Request,
    viewer: Viewer,
    database: Database,
    urls: FileUrls,
    *,
    status: int = 200,
    refusal: str | None = None,
) -> Response:
    async with database.transaction() as tx:
        card = await _find_card(tx, viewer, content_id)
        item = await contents.get_whole_content(tx, viewer.organization_id, content_id)
        rows = await detail_queries.list_attempts(tx, viewer.organization_id, item.content.id)
        origin = await _origin_of(tx, viewer, item.content)
    media_urls = MediaUrls(urls.store)
    presence = await look_at_files(urls.store, item.outputs)
    found = detail_of(item, rows, media_urls, urls, presence, views.version_of(card))
    policy: str | None = request.app.state.model_viewer_policy
    has_viewer = policy is not None and any(file.media.kind == "glb" for file in found.files)
    response = render(
        request,
        "content/detail.html",
        viewer,
        title=f"{found.kind} {found.short}",
        here="content",
        status=status,
        content=found,
        tile=views.tile_of(card, media_urls),
        attempts=attempts_of(rows, now()),
        held=rows[-1].held if rows else None,
        **origin,
        refusal=refusal,
        address=urls.of(item.content, item.outputs[0]) if item.outputs else "",
        has_viewer=has_viewer,
        model_viewer=MODEL_VIEWER,
    )
    if has_viewer and policy is not None:
        response.headers["Content-Security-Policy"] = policy
    return response


async def _origin_of(tx: Transaction, viewer: Viewer, content: Generation) -> dict[str, Any]:
    """For its page: what a content has cost, and the session that it was made in."""
    charge = await detail_queries.find_charge(tx, viewer.organization_id, content.id, content.retry_count)
    session_id = content.session_id
    return {
        "charge": charge,
        "cost_lines": cost_lines(charge) if charge else [],
        "is_capped": charge is not None and is_capped(charge),
        "session": await detail_queries.find_session(tx, viewer.organization_id, session_id) if session_id else None,
        "ceiling": await detail_queries.find_ceiling(tx, content.model),
        "nothing": Decimal(0),
    }


def _stream(request: Request, viewer: Viewer, database: Database, versions: dict[str, str]) -> Response:
    """The stream of what changes; 204, after which browsers do not ask again, if the session has too many."""
    streams: Streams = request.app.state.content_streams
    if not versions or not streams.has_room(viewer.session_id):
        return Response(status_code=204)
    token = token_in(request, SESSION_COOKIE) or ""
    look = partial(_look, database, viewer, token, [uuid.UUID(content_id) for content_id in versions])

    async def events() -> AsyncIterator[bytes]:
        with streams.opened(viewer.session_id):
            async for event in follow(look, versions, lambda: bool(request.app.state.is_stopping)):
                yield event

    return StreamingResponse(events(), headers=sse.HEADERS)


async def _look(database: Database, viewer: Viewer, token: str, content_ids: list[uuid.UUID]) -> list[State] | None:
    """How far they are; None if the reader has signed out, or is not what they were in the organization."""
    async with database.transaction() as tx:
        session = await find_session(tx, sha256(token))
        roles = {each.organization_id: each.role for each in session.memberships} if session else {}
        if roles.get(viewer.organization_id) != viewer.role.value:
            return None
        return await live_queries.read_states(tx, viewer.organization_id, _only_of(viewer), content_ids)


async def _find_card(tx: Transaction, viewer: Viewer, content_id: str) -> Card:
    """What the gallery shows of a content that the reader may see.

    Raises:
        ContentNotFoundError: there is none of that id, or not for this reader.
    """
    if not _is_id(content_id):
        raise ContentNotFoundError(content_id)
    wanted = queries.Wanted(viewer.organization_id, _only_of(viewer))
    cards = await queries.find_cards(tx, wanted, [uuid.UUID(content_id)])
    if not cards:
        raise ContentNotFoundError(content_id)
    return cards[0]


def _only_of(viewer: Viewer) -> str | None:
    """Of whom a reader sees content: members see what came of their own keys and sessions, others everything."""
    return viewer.user_id if viewer.role is MembershipRole.MEMBER else None


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
