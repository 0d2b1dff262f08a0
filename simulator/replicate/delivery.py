"""The delivery host: files under unguessable paths, and everything that can break a download."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from simulator.connection import ConnectionCutError, CuttableResponse
from simulator.faults.parsing import PredictionFaults
from simulator.faults.prediction import AT_DELIVERY, PredictionFault
from simulator.log import LogKind
from simulator.replicate.content import ByteRange, Content, wanted_range
from simulator.replicate.faults import faults_at_request
from simulator.replicate.outputs import OutputFile
from simulator.replicate.predictions import Prediction
from simulator.state import simulator_of

ELSEWHERE = "https://elsewhere.invalid/file"
"""A host that cannot exist, so that following the redirect does no harm."""

_CHUNK = 64 * 1024
_DRIPS = 20
_MEGABYTE = 1_000_000
_REDIRECTED = "redirected"

# Faults that replace the answer as a whole; the others change how its bytes arrive.
_ANSWERS: dict[PredictionFault, Callable[[str], Response]] = {
    PredictionFault.DELIVERY_404: lambda _: _not_found(),
    PredictionFault.DELIVERY_500: lambda _: PlainTextResponse("Internal Server Error", 500),
    PredictionFault.DELIVERY_WRONG_TYPE: lambda _: HTMLResponse("<html><body>Please log in</body></html>"),
    PredictionFault.DELIVERY_REDIRECT: lambda path: RedirectResponse(f"{path}?{_REDIRECTED}=1", 302),
    PredictionFault.DELIVERY_REDIRECT_ELSEWHERE: lambda _: RedirectResponse(ELSEWHERE, 302),
}


async def deliver(request: Request) -> Response:
    """Answer ``GET /delivery/{token}/{name}``."""
    simulator = simulator_of(request)
    entry = simulator.log.add(
        LogKind.DELIVERY,
        path=request.url.path,
        method=request.method,
        authorization_seen="authorization" in request.headers,
        range=request.headers.get("range"),
    )
    found = simulator.predictions.file(request.path_params["token"])
    if found is None:
        response = _not_found()
    else:
        prediction, file = found
        faults = _faults(request, prediction, file)
        entry.update(prediction_id=prediction.id, faults=sorted(faults))
        response = await _respond(request, prediction, file, faults)
    entry["status"] = response.status_code
    return response


def _faults(request: Request, prediction: Prediction, file: OutputFile) -> PredictionFaults:
    if _REDIRECTED in request.query_params:
        return {}
    return faults_at_request(request, prediction, AT_DELIVERY, file.requests)


async def _respond(request: Request, prediction: Prediction, file: OutputFile, faults: PredictionFaults) -> Response:
    if not prediction.has_files(simulator_of(request).clock.now()):
        return _not_found()
    for fault, answer in _ANSWERS.items():
        if fault in faults:
            return answer(request.url.path)
    rendered = await simulator_of(request).media.get(file.format, file.scene)
    content = Content(rendered, max(len(rendered), int(file.megabytes * _MEGABYTE)))
    return _file_response(request, file, content, faults)


def _file_response(request: Request, file: OutputFile, content: Content, faults: PredictionFaults) -> Response:
    wanted = wanted_range(request.headers.get("range"), content.size)
    if wanted is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{content.size}"})
    headers = {
        "Content-Type": file.format.content_type,
        "Content-Length": str(wanted.length),
        "Accept-Ranges": "bytes",
    }
    is_partial = wanted.length < content.size
    if is_partial:
        headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{content.size}"
    body = _nothing() if request.method == "HEAD" else _bytes(content, wanted, faults)
    return CuttableResponse(body, 206 if is_partial else 200, headers)


async def _bytes(content: Content, wanted: ByteRange, faults: PredictionFaults) -> AsyncGenerator[bytes, None]:
    is_broken = not faults.keys().isdisjoint({PredictionFault.DELIVERY_TRUNCATED, PredictionFault.DELIVERY_STALL})
    stop = wanted.start + wanted.length // 2 if is_broken else wanted.stop
    seconds = faults.get(PredictionFault.DELIVERY_SLOW) or 0.0
    step = min(_CHUNK, max(1, wanted.length // _DRIPS)) if seconds else _CHUNK
    for start in range(wanted.start, stop, step):
        yield content.read(start, min(start + step, stop))
        await asyncio.sleep(seconds * step / wanted.length)
    if PredictionFault.DELIVERY_TRUNCATED in faults:
        raise ConnectionCutError
    if PredictionFault.DELIVERY_STALL in faults:
        await asyncio.Event().wait()


async def _nothing() -> AsyncGenerator[bytes, None]:
    return
    yield


def _not_found() -> Response:
    return PlainTextResponse("Not Found", 404)
