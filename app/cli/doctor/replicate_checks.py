"""Replicate: whether the token is an account's, and whether its webhooks would reach us and be believed."""

import base64
import hashlib
import hmac
import time
import uuid
from urllib.parse import urlsplit

import aiohttp

from app.cli.doctor.checking import Place
from app.cli.doctor.results import Result, failed, not_checked, ok, warning
from app.core.clock import now
from app.core.networks import is_near, shown_url
from app.generations.callbacks import PATH
from app.predictions.protocol import PredictionDeniedError, PredictionError
from app.predictions.signatures import WebhookSignatureError, verify

_UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)


async def check_replicate(place: Place) -> Result:
    """Whether Replicate knows the token. That costs nothing."""
    if not place.settings.replicate_api_token.get_secret_value():
        return not_checked("REPLICATE_API_TOKEN is not set: agents generate nothing")
    try:
        account = await place.resources.predictions.account()
    except PredictionDeniedError as error:
        return failed(f"Replicate refuses the token: {error.text}", "correct REPLICATE_API_TOKEN")
    except PredictionError as error:
        mend = "correct REPLICATE_BASE_URL, which ends before /v1, or the network's way there"
        return failed(error.text, mend)
    return ok(f"the account {account}" if account else "the token is accepted")


async def check_webhooks(place: Place) -> Result:
    """Whether a report that is signed as Replicate signs it arrives, and is taken for Replicate's."""
    secrets = place.settings.replicate_webhook_secrets
    if not secrets:
        return not_checked("REPLICATE_WEBHOOK_SECRET is not set: ends are found by polling alone")
    if problem := _malformed(secrets):
        return problem
    if await _is_another(place):
        return failed("REPLICATE_WEBHOOK_SECRET is not the account's", "copy it from replicate.com/account/webhooks")
    return await _send(place)


def _malformed(secrets: tuple[str, ...]) -> Result | None:
    body = b"{}"
    for secret in secrets:
        try:
            verify([secret], _signed(secret, body), body, now())
        except (WebhookSignatureError, ValueError):
            mend = "copy it whole from replicate.com/account/webhooks: whsec_ and base64"
            return failed("REPLICATE_WEBHOOK_SECRET is no signing secret", mend)
    return None


async def _is_another(place: Place) -> bool:
    """Whether the account signs with a secret that is none of ours. It is unknown if Replicate does not tell."""
    try:
        told = await place.resources.predictions.webhook_secret()
    except PredictionError:
        return False
    ours = [secret.encode() for secret in place.settings.replicate_webhook_secrets]
    return bool(told) and not any(hmac.compare_digest(told.encode(), secret) for secret in ours)


def _signed(secret: str, body: bytes) -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    message_id, timestamp = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signature}


async def _send(place: Place) -> Result:
    """Send a report about a generation that does not exist, which changes nothing."""
    public_url, body = place.settings.public_url, b'{"id": "doctor"}'
    url = f"{public_url}{PATH}/{uuid.uuid4()}/0/doctor"
    headers = {**_signed(place.settings.replicate_webhook_secrets[0], body), "Content-Type": "application/json"}
    try:
        async with place.ask("POST", url, data=body, headers=headers, allow_redirects=False) as response:
            status = response.status
    except _UNREACHABLE as error:
        return failed(f"{shown_url(public_url)} cannot be reached: {type(error).__name__}", "see `public url`")
    if status == 401:
        return failed("the server takes a signed report for forged", "give every process the same secret, and the time")
    if status != 204:
        found = f"a signed report to {shown_url(public_url)} is answered with status {status}"
        return failed(found, "let the proxy in front pass POST requests to /webhooks/replicate/ on unchanged")
    if urlsplit(public_url).scheme != "https" or await is_near(public_url):
        mend = "set PUBLIC_URL to an https address that the internet reaches, or unset REPLICATE_WEBHOOK_SECRET"
        return warning("a signed report arrives from here, but Replicate sends none to this address", mend)
    return ok("a signed report arrives and is believed")
