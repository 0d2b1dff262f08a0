from app.api_keys.caller import Caller
from app.api_keys.service import find_caller
from app.cli.transaction import in_transaction
from app.core.crypto import sha256


def caller_of(secret: str) -> Caller:
    """The caller that the API identifies by the key."""
    return in_transaction(find_caller, sha256(secret.strip()))
