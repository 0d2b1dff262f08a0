"""What the form of the playground asks for, in the form in which a client of the API would ask for it."""

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import orjson
from pydantic import ValidationError

from app.admin.forms import Form, sentence_of
from app.admin.playground.protocols import Protocol, protocol_of
from app.chat.openai.request import ChatRequest
from app.chat.responses.request import ResponseRequest
from app.core.errors import AppError
from app.core.json_body import parse_body
from app.model_names.service import AGENT_PREFIX, ORCHESTRATOR_MODEL

_MOST_TEXT: Final = 200_000
_MOST_NAME: Final = 512
_FIELDS: Final = {"messages": "say", "input": "say", "tools": "tools"}


@dataclass(frozen=True)
class Asked:
    """A turn that the form asks for.

    Attributes:
        body: the body of a request for it, without what says which session it continues.
        protocol: the API that it is of.
        session: the name of the session.
        once: names the form, so that it is sent once.
        request: the body as the API reads it.
    """

    body: dict[str, Any]
    protocol: Protocol
    session: str
    once: str
    request: ChatRequest | ResponseRequest

    @property
    def hash(self) -> bytes:
        """What tells this request from others, as 32 bytes."""
        return hashlib.sha256(orjson.dumps([self.body, self.session])).digest()


async def read_asked(form: Form) -> Asked | None:
    """What the form asks for. None if something in it is refused, which the form then says."""
    protocol = protocol_of(form.value("protocol"))
    results = _results(form)
    text = form.text("say", most=_MOST_TEXT, is_optional=bool(results), label="A message")
    more = {**await _more(form, protocol), **_numbers(form, protocol)}
    tools = [protocol.tool(each) for each in await _tools(form)]
    form.text("agent", most=200, is_optional=True, label="The agent")
    session = form.text("session", most=_MOST_NAME, label="The session")
    once = form.text("once", most=64, label="The form")
    if form.errors:
        return None
    body = protocol.body(_model(form), results, text, {**more, **({"tools": tools} if tools else {})})
    try:
        request = protocol.request.model_validate(body)
    except ValidationError as error:
        _refuse(form, error)
        return None
    return Asked(body, protocol, session, once, request)


def body_of(form: Form) -> dict[str, Any]:
    """The request as far as the form is right: what is shown as code while somebody types."""
    protocol = protocol_of(form.value("protocol"))
    text = form.value("say").strip() or "Draw a lighthouse at night"
    return protocol.body(_model(form), (), text, _numbers(Form(dict(form.values)), protocol))


def _model(form: Form) -> str:
    agent = form.value("agent").strip()
    return f"{AGENT_PREFIX}{agent}" if agent else ORCHESTRATOR_MODEL


def _results(form: Form) -> list[tuple[str, str]]:
    """The ids of the calls of the client's tools, and what they have returned."""
    pairs = zip(form.texts("call"), form.texts("result"), strict=False)
    return [(call, result) for call, result in pairs if call]


def _numbers(form: Form, protocol: Protocol) -> dict[str, Any]:
    limits = {"temperature": Decimal(2), "top_p": Decimal(1)}
    values: dict[str, Any] = {
        name: form.decimal(name, least=Decimal(0), most=most, is_optional=True) for name, most in limits.items()
    }
    values = {name: float(value) for name, value in values.items() if value is not None}
    most_tokens = form.whole("max_tokens", least=1, most=10_000_000, is_optional=True)
    return values if most_tokens is None else {**values, protocol.max_tokens: most_tokens}


async def _more(form: Form, protocol: Protocol) -> dict[str, Any]:
    """Further parameters, as JSON."""
    value = await _json(form, "more")
    if value is None:
        return {}
    if not isinstance(value, dict):
        form.error("more", 'Enter a JSON object, such as {"seed": 7}.')
        return {}
    if taken := sorted(protocol.taken.intersection(value)):
        form.error("more", f"{taken[0]} has a place of its own. Remove it here.")
    return value


async def _tools(form: Form) -> list[Any]:
    """The client's tools: a JSON array of them, or one."""
    value = await _json(form, "tools")
    if value is None:
        return []
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        form.error("tools", "Enter a tool as a JSON object, or several in an array.")
        return []
    return value


async def _json(form: Form, name: str) -> Any:
    text = form.value(name).strip()
    if not text:
        return None
    try:
        return (await parse_body(text.encode()))[0]
    except AppError as error:
        form.error(name, sentence_of(error).replace("The request body", "This"))
        return None


def _refuse(form: Form, error: ValidationError) -> None:
    """Show what the API would refuse beside the field that it comes from."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    message = str(first["msg"]).removeprefix("Value error, ")
    field = _FIELDS.get(location[0] if location else "", "more")
    form.error(field, f"{'.'.join(location)}: {message}." if location else f"{message}.")
