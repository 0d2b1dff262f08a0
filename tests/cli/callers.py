from app.api_keys.caller import Caller
from app.api_keys.service import find_caller
from app.cli.transaction import in_transaction
from app.core.crypto import sha256


def caller_of(secret: str) -> Caller:
    """Who the API takes the key's bearer for."""
    return in_transaction(find_caller, sha256(secret.strip()))
