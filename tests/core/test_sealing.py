import secrets

from app.core.sealing import KEY_BYTES, seal, unseal


def test_a_sealed_text_is_opened_with_its_key_in_its_context() -> None:
    key = secrets.token_bytes(KEY_BYTES)

    assert unseal(key, seal(key, "a secret", "of Ada"), "of Ada") == "a secret"


def test_another_key_opens_nothing() -> None:
    sealed = seal(secrets.token_bytes(KEY_BYTES), "a secret", "of Ada")

    assert unseal(secrets.token_bytes(KEY_BYTES), sealed, "of Ada") is None


def test_another_context_opens_nothing() -> None:
    key = secrets.token_bytes(KEY_BYTES)

    assert unseal(key, seal(key, "a secret", "of Ada"), "of Bob") is None


def test_what_was_changed_opens_nothing() -> None:
    key = secrets.token_bytes(KEY_BYTES)
    sealed = seal(key, "a secret", "of Ada")

    for changed in (sealed[:-1], sealed + b"\0", bytes([sealed[0] ^ 1]) + sealed[1:], b"", b"short"):
        assert unseal(key, changed, "of Ada") is None
