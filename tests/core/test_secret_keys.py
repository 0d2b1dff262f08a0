"""SECRET_KEY can be changed: both keys are accepted meanwhile, and what is new needs only the newer one."""

import pytest

from app.core.secret_keys import PREFIX_BYTES, SecretKeys
from app.core.settings import Settings

OLD, NEW = b"the key from before", b"the key from now on"
BEFORE = SecretKeys(OLD)
PREPARED = SecretKeys(OLD, (NEW,))
CHANGED = SecretKeys(NEW, (OLD,))
AFTER = SecretKeys(NEW)


@pytest.mark.parametrize(
    ("writer", "reader"),
    [(BEFORE, PREPARED), (PREPARED, BEFORE), (PREPARED, CHANGED), (CHANGED, PREPARED), (CHANGED, AFTER)],
)
def test_processes_of_two_neighbouring_steps_accept_each_others(writer: SecretKeys, reader: SecretKeys) -> None:
    signature, sealed = writer.sign("notes", "Saved"), writer.seal("a secret", "of Ada")

    assert reader.is_signed("notes", "Saved", signature)
    assert reader.unseal(sealed, "of Ada") == "a secret"


def test_without_the_older_key_nothing_of_it_is_accepted() -> None:
    assert not AFTER.is_signed("notes", "Saved", BEFORE.sign("notes", "Saved"))
    assert AFTER.unseal(BEFORE.seal("a secret", "of Ada"), "of Ada") is None


def test_a_signature_is_of_one_message_for_one_purpose() -> None:
    signature = AFTER.sign("notes", "Saved")

    assert not AFTER.is_signed("links", "Saved", signature)
    assert not AFTER.is_signed("notes", "Lost", signature)
    assert not AFTER.is_signed("notes", "Saved", "")
    assert not AFTER.is_signed("notes", "Saved", "ü")


def test_a_sealed_text_is_of_one_context_and_whole() -> None:
    sealed = AFTER.seal("a secret", "of Ada")

    assert AFTER.unseal(sealed, "of Bob") is None
    for place in (0, 1, PREFIX_BYTES, len(sealed) - 1):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        assert AFTER.unseal(changed, "of Ada") is None
    for cut in (b"", sealed[:5], sealed[:PREFIX_BYTES], sealed[:-1]):
        assert AFTER.unseal(cut, "of Ada") is None


def test_what_is_sealed_names_its_key_and_not_its_text() -> None:
    first, second = CHANGED.seal("a secret", "of Ada"), CHANGED.seal("a secret", "of Ada")

    assert first[:PREFIX_BYTES] == second[:PREFIX_BYTES] == CHANGED.prefix
    assert BEFORE.seal("a secret", "of Ada")[:PREFIX_BYTES] in CHANGED.accepted_prefixes
    assert CHANGED.prefix not in CHANGED.accepted_prefixes
    assert first[PREFIX_BYTES:] != second[PREFIX_BYTES:]
    assert b"a secret" not in first


def test_the_settings_name_the_keys() -> None:
    keys = SecretKeys.of(Settings.model_validate({"secret_key": "new", "secret_key_accepted": "old"}))

    assert (keys.current, keys.accepted, keys.is_lasting) == (b"new", (b"old",), True)
    assert "new" not in repr(keys)


def test_a_key_that_a_process_has_made_up_does_not_last() -> None:
    keys = SecretKeys.of(Settings.model_validate({}))

    assert keys.current
    assert not keys.is_lasting
    assert keys.accepted == ()
