import re

import pytest

from app.core.crypto import new_id, random_alphanumeric, random_token, sha256


def test_ids_begin_with_their_kind_and_never_repeat() -> None:
    ids = {new_id("org") for _ in range(1000)}

    assert len(ids) == 1000
    assert all(re.fullmatch(r"org-[0-9b-df-hj-np-tv-xz]{16}", made) for made in ids)


def test_tokens_are_128_bits_that_fit_a_url() -> None:
    tokens = {random_token() for _ in range(1000)}

    assert len(tokens) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", token) for token in tokens)


@pytest.mark.parametrize("length", [0, 1, 32])
def test_random_letters_have_the_requested_length(length: int) -> None:
    assert re.fullmatch(rf"[A-Za-z0-9]{{{length}}}", random_alphanumeric(length))


def test_a_hash_is_computed_over_the_utf8_bytes_of_the_text() -> None:
    assert sha256("ü").hex() == "607474ca475a9724d7360aba71a56d5df77e61350e3f724cfa1f46e857e2d85f"
