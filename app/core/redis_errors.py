"""What an error of Redis means for an operator."""

from redis.asyncio import Redis
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from app.core.addresses import REDIS_PORT

_REFUSED = (AuthenticationError, AuthenticationWrongNumberOfArgsError, AuthorizationError, NoPermissionError)
# The second is a cluster's, which has only the number 0.
_NO_SUCH_NUMBER = ("DB index", "is not allowed in cluster mode")


def is_refused(error: BaseException) -> bool:
    """Whether Redis refuses the operator's user, password or database number."""
    is_without_number = isinstance(error, ResponseError) and any(sign in str(error) for sign in _NO_SUCH_NUMBER)
    return isinstance(error, _REFUSED) or is_without_number


def explain(error: RedisError | OSError, redis: Redis) -> str:
    """One line that says what is wrong and where, never with the password."""
    address = _address(redis)
    if is_refused(error):
        return f"Redis at {address} refuses the user, the password or the database number of REDIS_URL: {error}"
    return f"{address}: {error}" if str(error) else f"{address}: no response in time"


def _address(redis: Redis) -> str:
    options = redis.connection_pool.connection_kwargs
    if path := options.get("path"):
        return str(path)
    # Our own pools know more than their URL says.
    if shown := getattr(options.get("leader"), "shown", ""):
        return str(shown)
    return f"{options.get('host', 'localhost')}:{options.get('port', REDIS_PORT)}"
