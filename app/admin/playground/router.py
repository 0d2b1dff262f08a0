from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from app.admin.access import MemberUser
from app.admin.api_url import api_url
from app.admin.errors import PageNotFoundError
from app.admin.forms import Form, read_form, sentence_of
from app.admin.playground.asking import body_of, read_asked
from app.admin.playground.code import KEY_VARIABLE, samples_of
from app.admin.playground.conversation import Conversation, Conversations
from app.admin.playground.protocols import PROTOCOLS, protocol_of
from app.admin.playground.streaming import PlaygroundForm
from app.admin.playground.turns import begin_turn, finish_turn
from app.admin.rendering import render
from app.agents import service as agents
from app.agents.definition import AgentType
from app.chat.dependencies import TurnsDep
from app.chat.responding import respond
from app.core.crypto import new_id
from app.core.errors import AppError
from app.core.settings import Settings
from app.dependencies import DatabaseDep, SettingsDep, StoreDep

router = APIRouter()

_Text = Annotated[str | None, Query(max_length=600)]
_FIELDS: Final = ("agent", "protocol", "temperature", "max_tokens", "top_p", "more", "tools")


async def get_conversations(
    request: Request, viewer: MemberUser, database: DatabaseDep, store: StoreDep, settings: SettingsDep
) -> Conversations:
    """The conversations of the reader."""
    return Conversations(request, viewer, database, store, settings.public_url)


ConversationsDep = Annotated[Conversations, Depends(get_conversations)]


@router.get("/playground")
async def show_playground(
    conversations: ConversationsDep, settings: SettingsDep, session: _Text = None, agent: _Text = None
) -> Response:
    """The playground: a new session, or one of the reader's that goes on."""
    conversation = await conversations.of_name(session) if session else None
    return await _page(conversations, settings, Form.of({"agent": agent or ""}), conversation)


@router.post("/playground")
async def ask(
    request: Request, conversations: ConversationsDep, database: DatabaseDep, turns: TurnsDep, settings: SettingsDep
) -> Response:
    """Run a whole turn, for browsers without scripts. A form that is sent again shows the same answer."""
    form = await read_form(request)
    asked = await read_asked(form)
    if asked is not None:
        patience = settings.chat_turn_timeout_seconds
        try:
            await finish_turn(request, conversations.viewer, database, turns, asked, patience=patience)
        except AppError as error:  # also if the model has failed: what was typed stays
            form.error("", sentence_of(error))
    conversation = await _known(conversations, form.value("session"))
    sent = form if form.errors else Form.of({name: form.value(name) for name in _FIELDS})
    return await _page(conversations, settings, sent, conversation, session=form.value("session"), asked=form)


@router.post("/playground/turns")
async def stream_turn(
    request: Request, conversations: ConversationsDep, database: DatabaseDep, turns: TurnsDep
) -> Response:
    """Run a turn and send it as it arrives. Whoever hangs up ends it."""
    form = await read_form(request)
    asked = await read_asked(form)
    if asked is None:
        return JSONResponse({"fields": form.errors}, status_code=422)
    try:
        begun = await begin_turn(request, conversations.viewer, database, turns, asked, is_streamed=True)
        return await respond(request, begun, PlaygroundForm(conversations), is_streamed=True)
    except AppError as error:  # shown by the script, which cannot show a page
        return JSONResponse({"message": sentence_of(error)}, status_code=error.status, headers=dict(error.headers()))


@router.get("/playground/turns/{turn_id}")
async def show_turn(turn_id: str, conversations: ConversationsDep) -> Response:
    """A turn as far as it has come, for the script."""
    return Response(orjson.dumps(await conversations.state_of(turn_id)), media_type="application/json")


@router.post("/playground/code")
async def show_code(request: Request, conversations: ConversationsDep, settings: SettingsDep) -> Response:
    """What the form asks for as programs, for the script."""
    form = await read_form(request)
    conversation = await _known(conversations, form.value("session"))
    samples = await _samples(request, settings, form, conversation)
    return render(
        request, "playground/code.html", conversations.viewer, title="", samples=samples, key_variable=KEY_VARIABLE
    )


async def _page(
    conversations: Conversations,
    settings: Settings,
    form: Form,
    conversation: Conversation | None,
    *,
    session: str | None = None,
    asked: Form | None = None,
) -> Response:
    """The page.

    Args:
        conversations: of the reader.
        settings: the process's.
        form: what its fields show.
        conversation: the session that goes on; None if it has not begun.
        session: its name, if there is one already.
        asked: what was sent, which the code shows.
    """
    viewer, request = conversations.viewer, conversations.request
    async with conversations.database.transaction() as tx:
        found = await agents.list_agents(tx, viewer.organization_id, agent_type=AgentType.LLM, is_active=True)
    names = [listed.agent.name for listed in found if not listed.agent.is_orchestrator]
    return render(
        request,
        "playground/playground.html",
        viewer,
        title="Playground",
        here="playground",
        status=422 if form.errors else 200,
        form=form,
        conversation=conversation,
        session=conversation.session.public_id if conversation else session or new_id("sess"),
        once=new_id("once"),
        targets=[("", "the orchestrator"), *((name, name) for name in names)],
        protocols=[(each.name, each.label) for each in PROTOCOLS],
        samples=await _samples(request, settings, asked or form, conversation),
        key_variable=KEY_VARIABLE,
    )


async def _known(conversations: Conversations, name: str) -> Conversation | None:
    """The reader's session of that name, or None if it has not begun."""
    try:
        return await conversations.of_name(name)
    except PageNotFoundError:
        return None


async def _samples(request: Request, settings: Settings, form: Form, conversation: Conversation | None) -> list[Any]:
    copied = Form({name: list(values) for name, values in form.values.items()})
    asked = await read_asked(copied)
    body = asked.body if asked else body_of(form)
    session = conversation.session.public_id if conversation else None
    protocol = protocol_of(form.value("protocol"))
    return samples_of(body, protocol, base_url=api_url(request, settings), session=session)
