"""What is done with SECRET_KEY: signing what browsers carry, and sealing what is stored or handed out.

While the key is being changed there are two. Everything that was signed or sealed with either is accepted; what is new
is signed and sealed with SECRET_KEY. Each sealed text names its key, so that what still needs an older one can be found
without opening it.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from app.core.sealing import derive, seal, unseal
from app.core.settings import Settings

_FORM = b"\x01"
_ID_BYTES = 8
_SALT_BYTES = 16
# The form and the key's id.
PREFIX_BYTES = len(_FORM) + _ID_BYTES


@dataclass(frozen=True, repr=False)
class SecretKeys:
    """The keys of the operator.

    Attributes:
        current: signs and seals.
        accepted: verifies and opens beside it; none unless the key is being changed.
        is_lasting: whether the operator has set the key. One that a process has made for itself ends with it, and must
            not seal what is to be opened by others or later.
    """

    current: bytes
    accepted: tuple[bytes, ...] = ()
    is_lasting: bool = True

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those of the settings SECRET_KEY and SECRET_KEY_ACCEPTED."""
        other = settings.secret_key_accepted.get_secret_value().encode()
        return cls(
            settings.secret_key.get_secret_value().encode(),
            (other,) if other else (),
            is_lasting="secret_key" in settings.model_fields_set,
        )

    def sign(self, purpose: str, message: str) -> str:
        """The signature of a message, as hexadecimal digits. It is valid for this purpose alone."""
        return _signature(self.current, purpose, message)

    def is_signed(self, purpose: str, message: str, signature: str) -> bool:
        """Whether one of the keys has signed this message for this purpose."""
        shown = signature.encode()
        made = [_signature(key, purpose, message).encode() for key in (self.current, *self.accepted)]
        return any(hmac.compare_digest(shown, expected) for expected in made)

    def seal(self, text: str, context: str) -> bytes:
        """The text, encrypted and authenticated. Only who has the key and the context can open it.

        Args:
            text: what is to be kept secret.
            context: what it belongs to, such as the table, the column and the row's id.
        """
        salt = secrets.token_bytes(_SALT_BYTES)
        return self.prefix + salt + seal(_derived(self.current, salt), text, context)

    def unseal(self, sealed: bytes, context: str) -> str | None:
        """The text; None if it was sealed with none of the keys, for another context, or is not whole."""
        prefix, salt, rest = sealed[:PREFIX_BYTES], sealed[PREFIX_BYTES:][:_SALT_BYTES], sealed[PREFIX_BYTES:]
        for key in (self.current, *self.accepted):
            if prefix == _prefix(key):
                return unseal(_derived(key, salt), rest[_SALT_BYTES:], context)
        return None

    @property
    def prefix(self) -> bytes:
        """What all that SECRET_KEY seals begins with: `PREFIX_BYTES` bytes."""
        return _prefix(self.current)

    @property
    def accepted_prefixes(self) -> tuple[bytes, ...]:
        """What all begins with that the keys beside it have sealed."""
        return tuple(map(_prefix, self.accepted))


def _signature(key: bytes, purpose: str, message: str) -> str:
    return hmac.new(key, f"{purpose}:{message}".encode(), hashlib.sha256).hexdigest()


def _derived(key: bytes, salt: bytes) -> bytes:
    """A key for one text."""
    return derive(key, b"junis-sealed", salt=salt)


@lru_cache(maxsize=8)
def _prefix(key: bytes) -> bytes:
    return _FORM + derive(key, b"junis-key-id", length=_ID_BYTES)
