"""Webhooks as anybody may send them: signed by the Standard Webhooks scheme, or nearly so."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from app.generations.callbacks import PATH
from app.generations.models import Generation


def _secret(text: str) -> str:
    return "whsec_" + base64.b64encode(text.encode()).decode()


NEW_SECRET = _secret("the one that is being introduced")
OLD_SECRET = _secret("the one that is still in use")
FOREIGN_SECRET = _secret("one of somebody else's choosing")


@dataclass(frozen=True)
class Webhook:
    """A webhook to be sent. `body` is what is signed; `sent` goes over the wire in its place where it is given."""

    path: str
    body: bytes
    secret: str = NEW_SECRET
    id: str = "msg_1"
    timestamp: float = field(default_factory=time.time)
    sent: bytes | None = None

    def headers(self) -> dict[str, str]:
        """The three headers of the scheme."""
        timestamp = str(int(self.timestamp))
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        digest = hmac.new(key, f"{self.id}.{timestamp}.".encode() + self.body, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {"webhook-id": self.id, "webhook-timestamp": timestamp, "webhook-signature": signature}

    async def post(self, url: str, *, without: str = "", headers: Mapping[str, str] | None = None) -> int:
        """Send it to the server; the status of the answer."""
        sent = {name: value for name, value in self.headers().items() if name != without} | dict(headers or {})
        async with httpx.AsyncClient() as client:
            answer = await client.post(url + self.path, content=self.sent or self.body, headers=sent)
        return answer.status_code

    def changed(self, **values: Any) -> "Webhook":
        """The same with other values."""
        return replace(self, **values)


def webhook_about(content: Generation, **prediction: Any) -> Webhook:
    """What the vendor would send about a content whose prediction is so."""
    path = f"{PATH}/{content.id}/{content.retry_count}/{content.webhook_nonce}"
    body = {"id": content.prediction_id, "status": "succeeded", "output": ["https://example.com/a.png"], **prediction}
    return Webhook(path, json.dumps(body).encode())
