"""Keeps a new key until the page that shows it once is opened.

Between the form that creates a key and the page that shows it, the key is stored encrypted. What decrypts it is a token
that only the browser keeps, in a cookie: neither the database nor its backups can show the key.
"""

import base64
import binascii
import secrets
from datetime import datetime, timedelta

from app.api_keys import repository
from app.api_keys.models import UnshownKey
from app.core.clock import moment_of
from app.core.crypto import sha256
from app.core.database import Database, Transaction
from app.core.sealing import KEY_BYTES, seal, unseal

# How long a new key can be shown after it was created.
LIFETIME = timedelta(seconds=60)


async def keep_for_showing(tx: Transaction, *, key_id: str, user_id: str, secret: str) -> str:
    """Keep a new key, encrypted, until its user is shown it or `LIFETIME` is over.

    Returns:
        The token that `show_once` needs. It is stored nowhere.
    """
    token = secrets.token_bytes(KEY_BYTES)
    await repository.delete_unshown(tx)
    await repository.add_unshown(
        tx,
        UnshownKey(
            api_key_id=key_id,
            user_id=user_id,
            token_hash=sha256(_written(token)),
            sealed=seal(token, secret, _context(key_id, user_id)),
            expires_at=await _end(tx),
        ),
    )
    return _written(token)


async def show_once(tx: Transaction, *, key_id: str, user_id: str, token: str) -> str | None:
    """The key, if this is the first time that it is asked for with its token, and nothing remains of it then.

    None: it was shown already, its time is over, or it is another user's.
    """
    sealed = await repository.take_unshown(tx, key_id, user_id, sha256(token))
    key = _read(token)
    return unseal(key, sealed, _context(key_id, user_id)) if sealed and key else None


async def forget_unshown(database: Database) -> None:
    """Delete the keys that nobody was shown in time."""
    async with database.transaction() as tx:
        await repository.delete_unshown(tx)


async def _end(tx: Transaction) -> datetime:
    return await moment_of(tx) + LIFETIME


def _context(key_id: str, user_id: str) -> str:
    return f"{key_id} {user_id}"


def _written(token: bytes) -> str:
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _read(token: str) -> bytes | None:
    """The bytes of a token; None if the text is none."""
    try:
        read = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        return None
    return read if len(read) == KEY_BYTES else None
