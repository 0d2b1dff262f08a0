import httpx

from tests.factories import Organization


async def messages_of(http: httpx.AsyncClient, organization: Organization, session_id: str) -> list[tuple[str, object]]:
    """Role and content of a session's messages, oldest first."""
    response = await http.get(
        f"/sessions/{session_id}/messages", params={"page_size": 100}, headers=organization.headers
    )
    return [(message["role"], message["content"]) for message in response.raise_for_status().json()["messages"]]
