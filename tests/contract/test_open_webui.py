"""The requests of Open WebUI's settings for images and vectors, in their form, with the values of the documentation."""

import httpx

from tests.conftest import Stack
from tests.contract.accounts import Account
from tests.docs.files import block
from tests.plain_http import NO_TLS
from tests.waiting import PATIENCE

PAGE = "docs/chat-uis.md"


def values_of(mark: str) -> dict[str, str]:
    """The environment variables of a block."""
    return dict(line.split("=", 1) for line in block(PAGE, mark).splitlines())


async def test_an_image_is_made_and_fetched(stack: Stack, account: Account) -> None:
    values = values_of("sh open-webui-images")
    asked = {
        "model": values["IMAGE_GENERATION_MODEL"],
        "prompt": "A lighthouse",
        "n": 1,
        "size": values["IMAGE_SIZE"],
        "response_format": "b64_json",
    }
    bearer = {"Authorization": f"Bearer {account.keys['every_scope']}"}
    async with httpx.AsyncClient(timeout=PATIENCE, verify=NO_TLS) as http:
        url = f"{stack.url}{httpx.URL(values['IMAGES_OPENAI_API_BASE_URL']).path}/images/generations"
        made = (await http.post(url, json=asked, headers=bearer)).raise_for_status().json()
        (image,) = made["data"]
        # It sends its key there, too, if the image is at the server's own address.
        fetched = (await http.get(image["url"], headers=bearer)).raise_for_status()

    assert fetched.headers["Content-Type"].startswith("image/")
    assert fetched.content.startswith(b"\x89PNG")


async def test_its_documents_get_vectors(stack: Stack, account: Account) -> None:
    values = values_of("sh open-webui-search")
    asked = {"input": ["A lighthouse", "A tower"], "model": "sim-embed"}
    bearer = {"Authorization": f"Bearer {account.keys['every_scope']}"}
    async with httpx.AsyncClient(timeout=PATIENCE, verify=NO_TLS) as http:
        url = f"{stack.url}{httpx.URL(values['RAG_OPENAI_API_BASE_URL']).path}/embeddings"
        made = (await http.post(url, json=asked, headers=bearer)).raise_for_status().json()

    assert [len(each["embedding"]) for each in made["data"]] == [256, 256]
    assert all(isinstance(number, float) for number in made["data"][0]["embedding"][:3])
