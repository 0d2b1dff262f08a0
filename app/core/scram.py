"""What Postgres stores of a password, computed here, so that the password itself is in no statement and in no log."""

import base64
import hashlib
import hmac

# Postgres's own default.
_ITERATIONS = 4096


def scram_verifier(password: str, salt: bytes) -> str:
    """The SCRAM-SHA-256 verifier of a password, in the form in which `PASSWORD '…'` accepts it instead of the password.

    Args:
        password: printable ASCII. Other characters would have to be normalized first (RFC 4013).
        salt: 16 random bytes.
    """
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    client_key = _hmac(salted, b"Client Key")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = _hmac(salted, b"Server Key")
    return f"SCRAM-SHA-256${_ITERATIONS}:{_text(salt)}${_text(stored_key)}:{_text(server_key)}"


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
