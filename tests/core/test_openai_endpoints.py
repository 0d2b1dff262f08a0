"""Who asks for an endpoint that is not here is told what is."""

import httpx
import pytest

from app.core.openai_endpoints import what_instead

CHAT = "/api/external/v1/chat/completions"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v1/chat/completions", CHAT),
        ("/chat/completions", CHAT),
        ("/api/external/chat/completions", CHAT),
        ("/api/external/v1/v1/chat/completions", CHAT),
        ("/api/external/v1/chat/completions/chat/completions", CHAT),
        ("/openai/deployments/gpt-4o/chat/completions", CHAT),
        ("/api/v1/chat/completions", CHAT),
        ("/v1/responses", "/api/external/v1/responses"),
        ("/api/external/v1/v1/responses", "/api/external/v1/responses"),
        ("/api/external/v1/responses/compact", "not compacted"),
        ("/v1/models", "/api/external/v1/models"),
        ("/api/external/models", "/api/external/v1/models"),
        ("/models/gpt-4o", "/api/external/v1/models"),
        ("/v1/embeddings", "/api/external/v1/embeddings"),
        ("/v1/completions", "/api/external/v1/completions"),
        ("/v1/images/generations", "/api/external/v1/images/generations"),
        ("/v1/images/edits", "/api/external/v1/images/edits"),
        ("/api/external/v1/images/variations", "/api/external/v1/images/edits"),
        ("/v1/audio/speech", "/api/external/v1/audio/speech"),
        ("/api/external/v1/videos", "/api/external/content"),
        ("/api/external/v1/agents", "/api/external/agents"),
        ("/api/external/v1/sessions", "/api/external/sessions"),
        *(
            (f"/api/external/v1/{name}", "not s")
            for name in (
                *("moderations", "realtime/sessions"),
                *("audio/transcriptions", "audio/translations"),
                *("files", "files/file-1/content", "uploads", "batches", "assistants", "threads/thread_1/runs"),
                *("vector_stores", "fine_tuning/jobs", "evals", "videos", "containers"),
            )
        ),
    ],
)
def test_a_known_endpoint_that_is_not_here_says_what_is(path: str, told: str) -> None:
    text = what_instead(path)

    assert text is not None
    assert told in text


@pytest.mark.parametrize(
    "path", ["/", "/files", "/content", "/nothing", "/api/external/v2/chat", "/v1", "/v1/", "/v1/x"]
)
def test_other_paths_are_only_not_found(path: str) -> None:
    assert what_instead(path) is None


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/api/external/v1/moderations", "/v1/chat/completions", "//v1//chat/completions/"])
async def test_the_error_says_it(
    visitor: httpx.AsyncClient, customer: httpx.AsyncClient, method: str, path: str
) -> None:
    url = f"{visitor.base_url.copy_with(path='')}{path}"

    response = await visitor.request(method, url, headers={"X-API-Key": customer.headers["X-API-Key"]})

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (404, "not_found")
    assert CHAT in error["message"] or "/api/external/v1" in error["message"]
