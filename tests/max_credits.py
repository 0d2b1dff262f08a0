"""The ways in which a request says what it may cost at most."""

from typing import Final

from tests.factories import Organization

WAYS: Final = ("body", "header")


def limited(organization: Organization, most: str, by: str) -> tuple[dict[str, str], dict[str, str]]:
    """The part of a body, and the headers, with which the organization says so in one of these ways."""
    if by == "body":
        return {"max_credits": most}, organization.headers
    return {}, organization.headers | {"X-Max-Credits": most}
