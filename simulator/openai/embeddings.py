"""Embeddings: vectors that depend on the input's text or tokens alone, of length 1, in either form."""

import asyncio
import base64
import hashlib
import math
import random
from array import array
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from simulator.faults.chat import ChatFault
from simulator.faults.parsing import SEPARATOR, ChatFaults, UnknownFaultError, parse_chat_faults
from simulator.log import LogKind
from simulator.openai.errors import ApiError, invalid_type
from simulator.openai.refusals import refuse_by
from simulator.openai.requests import check_key, read_object
from simulator.state import simulator_of
from simulator.wire import Json, JsonResponse, dump

_DIMENSIONS = 256
_MOST_INPUTS = 2048
_MOST_DIMENSIONS = 4096
_CHARACTERS_PER_TOKEN = 4


async def embed(request: Request) -> Response:
    """Answer a request for embeddings."""
    check_key(request)
    body = _body(await request.body())
    faults = _faults(request, str(body["model"]))
    entry = simulator_of(request).log.add(LogKind.EMBEDDINGS, model=body["model"], request=body, usage=None)
    refusal = await refuse_by(request, faults, str(body["model"]), body["input"])
    if refusal is not None:
        return refusal
    if body.get("encoding_format") == "base64" and ChatFault.NO_BASE64 in faults:
        raise ApiError(400, "encoding_format: only float is supported", param="encoding_format")
    await asyncio.sleep(faults.get(ChatFault.FIRST_TOKEN_SLOW) or 0)
    inputs = body["input"] if _is_list_of_inputs(body["input"]) else [body["input"]]
    is_base64 = body.get("encoding_format") == "base64" and ChatFault.IGNORES_BASE64 not in faults
    dimensions = body.get("dimensions") or _DIMENSIONS
    data = []
    for index, each in enumerate(inputs):
        vector = _vector(each, dimensions, is_base64)
        if ChatFault.NAN_VECTORS in faults:
            vector = base64.b64encode(array("f", [math.nan] * dimensions).tobytes()).decode()
        if ChatFault.INFINITE_VECTORS in faults:
            vector = [1e39] * dimensions
        data.append({"object": "embedding", "index": index, "embedding": vector})
        await asyncio.sleep(0)
    if ChatFault.FEWER_VECTORS in faults:
        data.pop()
    tokens = sum(map(_tokens, inputs))
    entry["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
    answer: Json = {"object": "list", "data": data, "model": body["model"]}
    return JsonResponse(answer if ChatFault.NO_USAGE in faults else answer | {"usage": entry["usage"]})


def _body(content: bytes) -> Json:
    body = read_object(content)
    given = body.get("input")
    is_one = bool(given) and isinstance(given, str | list)
    if not is_one or (isinstance(given, list) and _is_list_of_inputs(given) and len(given) > _MOST_INPUTS):
        raise invalid_type("input")
    dimensions = body.get("dimensions")
    if dimensions is not None and not (isinstance(dimensions, int) and 1 <= dimensions <= _MOST_DIMENSIONS):
        raise invalid_type("dimensions")
    return body


def _faults(request: Request, model: str) -> ChatFaults:
    base_model, *names = model.split(SEPARATOR)
    known = frozenset(fault.value for fault in ChatFault)
    try:
        ordered = simulator_of(request).rules.take(known, model=base_model, path=request.url.path)
        return parse_chat_faults([*names, *ordered])
    except UnknownFaultError as error:
        raise ApiError(400, str(error), param="model") from error


def _is_list_of_inputs(given: Any) -> bool:
    return isinstance(given, list) and not isinstance(given[0], int)


def _tokens(given: Any) -> int:
    return -(-len(given) // _CHARACTERS_PER_TOKEN) if isinstance(given, str) else len(given)


def _vector(given: Any, dimensions: int, is_base64: bool) -> Any:
    draw = random.Random(hashlib.sha256(dump(given)).digest())
    numbers = [draw.gauss(0, 1) for _ in range(dimensions)]
    length = math.sqrt(sum(number * number for number in numbers))
    vector = array("f", (number / length for number in numbers))
    return base64.b64encode(vector.tobytes()).decode() if is_base64 else vector.tolist()
