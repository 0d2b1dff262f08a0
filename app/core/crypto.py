import hashlib
import secrets
import string

_ALPHANUMERIC = string.ascii_letters + string.digits
# No vowels and no look-alikes, so that an id never spells a word and is easy to read aloud.
_ID_LETTERS = "0123456789bcdfghjkmnpqrstvwxz"
_ID_LENGTH = 16


def random_alphanumeric(length: int) -> str:
    """`length` characters of [A-Za-z0-9], about 5.95 bits each."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(length))


def new_id(prefix: str) -> str:
    """A new identifier such as `org-4k8zr0c7w1hd2f9n`: a prefix and about 77 random bits."""
    # One number for all letters: the system is asked for randomness once.
    number, letters = secrets.randbelow(len(_ID_LETTERS) ** _ID_LENGTH), []
    for _ in range(_ID_LENGTH):
        number, letter = divmod(number, len(_ID_LETTERS))
        letters.append(_ID_LETTERS[letter])
    return f"{prefix}-{''.join(letters)}"


def random_token() -> str:
    """128 random bits as 22 URL-safe characters."""
    return secrets.token_urlsafe(16)


def sha256(value: str) -> bytes:
    """The 32-byte SHA-256 of the text's UTF-8 bytes."""
    return hashlib.sha256(value.encode()).digest()
