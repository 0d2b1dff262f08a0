"""Encrypts short secrets under a key that somebody else keeps. A sealed text says nothing without its key."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
_NONCE_BYTES = 12


def seal(key: bytes, text: str, context: str) -> bytes:
    """The text, encrypted and authenticated with AES-256-GCM.

    Args:
        key: 32 random bytes. It must seal one text only.
        text: what is to be kept secret.
        context: what the text belongs to. It is not encrypted, and needed to open what is sealed.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, text.encode(), context.encode())


def unseal(key: bytes, sealed: bytes, context: str) -> str | None:
    """The text that was sealed under this key in this context; None if either is another one."""
    nonce, encrypted = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, encrypted, context.encode()).decode()
    except (InvalidTag, ValueError):
        return None


def derive(secret: bytes, purpose: bytes, *, salt: bytes | None = None, length: int = KEY_BYTES) -> bytes:
    """Bytes that follow from a secret by HKDF, and from which it does not follow.

    Args:
        secret: what nobody else knows, of any length.
        purpose: other bytes follow for another purpose.
        salt: random bytes, for a key that is used once.
        length: how many bytes.
    """
    return HKDF(SHA256(), length, salt, purpose).derive(secret)
