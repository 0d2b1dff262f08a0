"""The blocks of docs/operations.md that are marked `sh book`, run in their order by Compose without an engine."""

from collections.abc import Iterator

import httpx
import pytest

from tests.book.page import marked
from tests.native_compose.stack import NativeStack, native_stack


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NativeStack]:
    folder = tmp_path_factory.mktemp("book")
    with native_stack(folder) as opened:
        for name in ("llm-key", "replicate-token"):
            (folder / name).write_text("of-the-simulator\n")
        yield opened


def here(code: str, stack: NativeStack) -> str:
    """The commands with the addresses of this machine. The vendors are the simulator."""
    written = {
        "http://127.0.0.1:8000": stack.url,
        "https://api.openai.com/v1": f"{stack.vendors_url}/openai/v1",
        "gpt-4o-mini": "sim-chat",
    }
    for before, after in written.items():
        code = code.replace(before, after)
    return code


def add_what_is_not_in_the_book(stack: NativeStack) -> None:
    """What makes the simulator stand in for Replicate, and where clients reach this proxy."""
    lines = {
        "PUBLIC_URL": stack.url,
        "REPLICATE_BASE_URL": f"{stack.vendors_url}/replicate",
        "OUTPUT_HOSTS": stack.vendors_url.removeprefix("http://"),
    }
    for name, value in lines.items():
        stack.shell(f"echo '{value}' | sh deploy/env.sh set {name}")


@pytest.mark.timeout(1800)
def test_the_commands_work_one_after_the_other(stack: NativeStack) -> None:
    printed = []
    for number, found in enumerate(marked("sh book")):
        code = here(found.code, stack)
        if number == 0:
            first, _, code = code.partition("\n")
            stack.shell(first)
            add_what_is_not_in_the_book(stack)
        printed.append(stack.shell(code))
        print(f"{code.rstrip()}\n{printed[-1]}")  # noqa: T201 - `make book` shows what an operator would see
    key = next(word for text in printed for word in text.split() if word.startswith("jns_live_"))

    with httpx.Client(base_url=stack.url, headers={"X-API-Key": key}, timeout=60) as client:
        # It was revoked in the chapter on keys.
        assert client.get("/api/external/v1/models").status_code == 401
    assert "failed" not in printed[2].partition("webhooks")[0]
