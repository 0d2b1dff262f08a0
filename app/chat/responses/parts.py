"""The content of an item of the input, in the form in which chat models read it."""

from collections.abc import Callable, Mapping
from typing import Any

from app.chat.openai.parts import check_part
from app.chat.responses.places import Place, refuse
from app.chat_models.protocol import JsonObject
from app.sessions.messages import MessageRole

_MOST_PARTS = 1000
_NO_FILES = "this server keeps no files by their ids"


def content_of(given: Any, role: str, place: Place) -> str | list[JsonObject]:
    """The content of a message, or of a call's output, that a client has sent: a text or parts.

    What is only text becomes one text, because many servers read nothing else but from users.

    Raises:
        ValidationError: it is neither, or a part cannot be in such a message.
    """
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        refuse(place, "must be a text or a list of parts")
    if len(given) > _MOST_PARTS:
        refuse(place, f"has more than {_MOST_PARTS} parts")
    parts = [_part(part, role, (*place, index)) for index, part in enumerate(given)]
    is_text = all(part["type"] == "text" for part in parts)
    if is_text and (len(parts) < 2 or role != MessageRole.USER):
        return "".join(part["text"] for part in parts)
    return parts


def _part(given: Any, role: str, place: Place) -> JsonObject:
    kind = given.get("type") if isinstance(given, dict) else None
    read = _KINDS.get(kind) if isinstance(kind, str) else None
    if read is None or (kind == "refusal" and role != MessageRole.ASSISTANT):
        refuse(place, f"there is no part of type {str(kind)[:50]} in what the {role} says")
    return read(given, role, place)


def _text(given: JsonObject, _: str, place: Place) -> JsonObject:
    text = given.get("text")
    if not isinstance(text, str):
        refuse(place, f"a part of type {given['type']} needs text")
    return {"type": "text", "text": text}


def _refusal(given: JsonObject, _: str, place: Place) -> JsonObject:
    # Sent back as a text: it is what the model has said, and few servers know refusals.
    text = given.get("refusal")
    if not isinstance(text, str):
        refuse(place, "a part of type refusal needs refusal")
    return {"type": "text", "text": text}


def _image(given: JsonObject, role: str, place: Place) -> JsonObject:
    if given.get("image_url") is None and given.get("file_id") is not None:
        refuse(place, f"{_NO_FILES}: send image_url instead of file_id")
    image = {"url": given.get("image_url")}
    if given.get("detail") is not None:
        image["detail"] = given["detail"]
    reason = "a part of type input_image needs image_url, an http(s) address or data:image/…"
    return _checked({"type": "image_url", "image_url": image}, role, place, reason)


def _file(given: JsonObject, role: str, place: Place) -> JsonObject:
    if given.get("file_data") is None and given.get("file_id") is not None:
        refuse(place, f"{_NO_FILES}: send file_data instead of file_id")
    if given.get("file_data") is None and given.get("file_url") is not None:
        refuse(place, "this server fetches no files: send file_data instead of file_url")
    file = {name: given[name] for name in ("filename", "file_data") if given.get(name) is not None}
    reason = "a part of type input_file needs file_data, the file itself as data:TYPE;base64,…"
    return _checked({"type": "file", "file": file}, role, place, reason)


def _audio(given: JsonObject, role: str, place: Place) -> JsonObject:
    return _checked({"type": "input_audio", "input_audio": given.get("input_audio")}, role, place)


def _checked(part: JsonObject, role: str, place: Place, reason: str = "") -> JsonObject:
    try:
        check_part(part, role)
    except ValueError as error:
        refuse(place, reason or str(error))
    return part


_KINDS: Mapping[str, Callable[[JsonObject, str, Place], JsonObject]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}
