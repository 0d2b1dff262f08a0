"""Files that the product has generated and stored, as its clients find them."""

from dataclasses import dataclass
from typing import Any

import httpx

from tests.plain_http import NO_TLS
from tests.waiting import PATIENCE
from tests.worker.workbench import Workbench


@dataclass(frozen=True)
class Picture:
    """The file of one content: the content's detail, and the bytes that the vendor delivered."""

    detail: dict[str, Any]
    delivered: bytes

    @property
    def url(self) -> str:
        return str(self.detail["storage_url"])

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


async def generate(workbench: Workbench, base_url: str, model: str, **values: Any) -> Picture:
    """Have a model generate something, and read its detail as a client does."""
    asked = await workbench.ask(model, **values)
    ended = await workbench.until_ended(asked)
    assert ended.status == "completed", ended.error_message
    async with httpx.AsyncClient(
        base_url=base_url, headers=workbench.organization.headers, timeout=PATIENCE, verify=NO_TLS
    ) as client:
        detail = (await client.get(f"/content/{asked}")).raise_for_status().json()
        delivered = await client.get(ended.output_url) if ended.output_url else None
    return Picture(detail, delivered.content if delivered else b"")
