"""SECRET_KEY: whether it is set, and whether anything stored still needs the key from before."""

from app.cli.doctor.checking import Place
from app.cli.doctor.results import Result, not_checked, ok, warning
from app.core.errors import ServiceUnavailableError
from app.core.schema import SchemaState, read_schema_state
from app.core.secret_keys import SecretKeys
from app.resealing.columns import SEALED_COLUMNS
from app.resealing.service import Needed, keys_needed


async def check_secret_key(place: Place) -> Result:
    """Whether SECRET_KEY is set and opens all that is stored, and whether SECRET_KEY_ACCEPTED can be dropped."""
    keys = SecretKeys.of(place.settings)
    if not keys.is_lasting:
        return warning("SECRET_KEY is not set: each process makes up its own", "set it, the same for all processes")
    if keys.current in keys.accepted:
        return warning("SECRET_KEY_ACCEPTED is SECRET_KEY itself", "unset it, or set the key from before")
    try:
        async with place.resources.database.transaction() as tx:
            if await read_schema_state(tx) is not SchemaState.CURRENT:
                return not_checked("the schema is not that of this version")
            needed = await keys_needed(tx, keys, SEALED_COLUMNS)
    except ServiceUnavailableError:
        return not_checked("the database cannot be used")
    return _judged(needed, is_changing=bool(keys.accepted))


def _judged(needed: Needed, *, is_changing: bool) -> Result:
    if needed.unknown:
        found = f"{needed.unknown} stored values are sealed with a key that is not in the settings"
        return warning(found, "set SECRET_KEY_ACCEPTED to that key, then run `junis reseal`")
    if needed.accepted:
        return warning(f"{needed.accepted} stored values need SECRET_KEY_ACCEPTED", "run `junis reseal`")
    if is_changing:
        return ok(
            "nothing that is stored needs SECRET_KEY_ACCEPTED: it can be dropped once all processes have SECRET_KEY"
        )
    return ok("it opens all that is stored")
