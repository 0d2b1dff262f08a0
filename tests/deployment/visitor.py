"""A client of the stack: what a user of the API does."""

import hashlib
from dataclasses import dataclass
from typing import Any

import httpx

from tests.waiting import wait_until

_WHOLE_TURN = 120.0


@dataclass(frozen=True)
class Picture:
    """A file that was made, and what it holds."""

    url: str
    sha256: str


class Visitor:
    """Asks for chats and pictures with one key."""

    def __init__(self, url: str, key: str) -> None:
        self._http = httpx.Client(
            base_url=f"{url}/api/external", headers={"X-API-Key": key}, timeout=_WHOLE_TURN, follow_redirects=True
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def chat(self, text: str) -> httpx.Response:
        """Ask once; whatever comes is returned.

        Raises:
            httpx.TransportError: Nothing came.
        """
        return self._http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": text}]})

    def wait_until_served(self) -> None:
        """Wait until a chat succeeds."""
        wait_until(self._is_served)

    def draw(self) -> Picture:
        """Ask for a picture, wait for it and fetch it."""
        response = self.chat("Draw a lighthouse at dusk")
        assert response.status_code == 200, response.text
        [made] = response.json()["generated_content"]
        detail = wait_until(lambda: self._ended(made["id"]))
        assert detail["status"] == "completed", detail
        return self.fetch(detail["storage_url"])

    def wait_until_ended(self, content_id: str) -> str:
        """Wait until a picture is made, or cannot be; returns its status."""
        return str(wait_until(lambda: self._ended(content_id))["status"])

    def fetch(self, url: str) -> Picture:
        """Fetch a picture that was made."""
        response = self._http.get(url)
        assert response.status_code == 200, response.text
        assert response.content[1:4] == b"PNG"
        return Picture(url, hashlib.sha256(response.content).hexdigest())

    def _is_served(self) -> bool:
        try:
            return self.chat("Say hello").status_code == 200
        except httpx.TransportError:
            return False

    def _ended(self, content_id: str) -> dict[str, Any]:
        """What the API says of a picture that has ended; nothing if it has not, or if the API is away."""
        try:
            response = self._http.get(f"/content/{content_id}")
        except httpx.TransportError:
            return {}
        if response.status_code in {502, 503, 504}:
            return {}
        assert response.status_code == 200, response.text
        detail: dict[str, Any] = response.json()
        return detail if detail["status"] in {"completed", "failed"} else {}
