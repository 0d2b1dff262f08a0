import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api_keys.scopes import ALL_SCOPES, DEFAULT_SCOPES, parse_scopes
from app.core.errors import InvalidRequestError


def test_a_key_has_the_default_scopes_if_none_is_named() -> None:
    assert parse_scopes([]) == ["orchestrator:invoke", "agents:list", "agents:invoke", "sessions:read"]
    assert not {"content:read", "content:retry", "usage:read"} & set(DEFAULT_SCOPES)


@pytest.mark.parametrize(
    ("name", "stored"), [("orchestrator:stream", "orchestrator:invoke"), ("sessions:messages", "sessions:read")]
)
def test_a_narrower_name_is_stored_as_the_scope_that_contains_it(name: str, stored: str) -> None:
    assert parse_scopes([name]) == [stored]
    assert parse_scopes([name, stored]) == [stored]


@settings(deadline=None)
@given(st.lists(st.sampled_from(ALL_SCOPES), min_size=1))
def test_each_scope_is_stored_once_and_in_order(names: list[str]) -> None:
    assert parse_scopes(names) == [scope for scope in ALL_SCOPES if scope in names]


@pytest.mark.parametrize("name", ["", "content", "content:write", "Content:read", "content:read ", "*"])
def test_an_unknown_scope_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="Unknown scope"):
        parse_scopes(["content:read", name])
