"""The statements that admit and end turns: one for all turns of an organization that do so at the same time.

They are put together here from parts that sessions, credits and idempotency keys export, because each is a whole
transaction. Rows are locked in the same order everywhere: first the idempotency key, then sessions by their ids, then
the account, then what belongs to the account. In different orders two transactions could wait for each other.
"""

from collections.abc import Mapping

from app.configuration import fragments as configuration
from app.core.attribution import ATTRIBUTION_COLUMNS
from app.credits import fragments as credits
from app.credits.settlement import USE_FIELDS
from app.idempotency import fragments as idempotency
from app.kept_responses import fragments as kept_responses
from app.sessions import fragments as sessions


def _statement(expressions: Mapping[str, str], result: str) -> str:
    """One statement of common table expressions, by their names, and of what it returns."""
    return "WITH " + ", ".join(f"{name} AS ({sql})" for name, sql in expressions.items()) + result


def _rows_given(columns: Mapping[str, str], *, first: int, place: str | None = None) -> str:
    """Rows whose columns, of these types, are the parameters from the number `first` on. `place` numbers the rows."""
    values = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), first))
    if place is None:
        return f"SELECT * FROM unnest({values}) AS given ({', '.join(columns)})"
    return f"SELECT * FROM unnest({values}) WITH ORDINALITY AS given ({', '.join(columns)}, {place})"


_ADMISSION = {
    "reference": "text",
    "amount": "numeric",
    "expires_in": "interval",
    "calls_opened": "int",
    "most": "numeric",
    "session_name": "text",
    **{name: "uuid" if name == "session_id" else "text" for name in ATTRIBUTION_COLUMNS},
}
_IS_CURRENT = f"$3 = {configuration.version('$1')} AND ($4::timestamptz IS NULL OR now() < $4)"

_ADMITTED = {
    "admitted": "SELECT turns.* FROM turns JOIN account USING (organization_id)",
    "begun": sessions.begun("admitted WHERE session_name IS NOT NULL", lease="$5::interval"),
    "held": credits.holds("admitted"),
}

# $1 the organization, $2 all that is to be held, $3 and $4 the version of the configuration and until when it is valid,
# $5 the lease of a session; then what is given of the turns.
ADMIT = _statement(
    {
        "turns": _rows_given(_ADMISSION, first=6),
        "account": credits.reserved(organization="$1", amount="$2::numeric", condition=_IS_CURRENT),
        **_ADMITTED,
    },
    "SELECT true FROM account",
)

_CLAIM = {**idempotency.KEY_COLUMNS, "request_hash": "bytea"}
_ALL_CLAIMED = "(SELECT count(*) FROM {claims}) = cardinality($8::text[])"

# The same of turns whose keys nobody has used: $6 and $7 are the lease and the lifetime of claims. If somebody claims
# one of them at this moment, it ends with a division by zero, which undoes all of it.
ADMIT_ONCE = _statement(
    {
        "turns": _rows_given(_ADMISSION | _CLAIM, first=8),
        "payable": credits.payable(organization="$1", amount="$2::numeric"),
        "claimed": idempotency.claimed(
            "turns",
            organization="$1",
            lease="$6::interval",
            lifetime="$7::interval",
            condition=f"EXISTS (SELECT FROM payable) AND {_IS_CURRENT}"
            f" AND {idempotency.unused('turns', organization='$1')}",
        ),
        "shown": idempotency.shown("claimed", condition=_ALL_CLAIMED.format(claims="claimed")),
        "account": credits.reserved(
            organization="$1",
            amount="$2::numeric",
            condition=f"{_IS_CURRENT} AND {_ALL_CLAIMED.format(claims='shown')}",
        ),
        **_ADMITTED,
    },
    "SELECT 1 / (SELECT count(*) FROM account) FROM claimed",
)

CHECK_VERSION = f"SELECT $2 = {configuration.version('$1')} AND ($3::timestamptz IS NULL OR now() < $3)"

_ENDED_TURN = {
    "session_id": "uuid",
    "turn_id": "text",
    "reference": "text",
    "description": "text",
    "messages": "int",
    "has_failed": "bool",
}
_MESSAGE = {
    "turn": "bigint",
    "role": "text",
    "content": "jsonb",
    "agent": "text",
    "tool_calls": "jsonb",
    "tool_call_id": "text",
    "name": "text",
    "additions": "jsonb",
}

_ANSWER = {**idempotency.KEY_COLUMNS, "response": "text"}


def _ended(turns: Mapping[str, str], after: int) -> dict[str, str]:
    """What ends the turns that the first of these expressions find; the number of the last parameter is `after`."""
    return {
        # What is waited for first, so that the beginning of the statement, which Postgres shows, says what it is.
        **turns,
        "locked": sessions.locked("turns"),
        "account": credits.locked_account(organization="$1", after="(SELECT count(*) FROM locked)"),
        "uses": f"SELECT * FROM jsonb_to_recordset($2::jsonb) AS given (reference text, {USE_FIELDS})",
        "said": _rows_given(_MESSAGE, first=after + 1, place="place"),
        **credits.settled(organization="$1", turns="turns", uses="uses", account="account"),
        **sessions.freed(turns="turns", locked="locked", ended="ended", messages="said"),
    }


def _end(*, has_keys: bool, is_kept: bool) -> str:
    """The statement that ends turns.

    $1 is the organization, $2 the uses; then come what is given of the turns, and of their messages.

    Args:
        has_keys: whether their responses are stored under Idempotency-Keys, as long as the claims are theirs.
        is_kept: whether their results are kept as responses.
    """
    columns = _ENDED_TURN | (_ANSWER if has_keys else {}) | (kept_responses.KEPT_COLUMNS if is_kept else {})
    given = _rows_given(columns, first=3, place="position")
    turns, further = {"turns": given}, {}
    if has_keys:
        turns = {
            "given": given,
            "claims": idempotency.locked("given", organization="$1"),
            "turns": "SELECT given.* FROM given JOIN claims USING (position)",
        }
        further = idempotency.answered(turns="turns", ended="ended", organization="$1")
    if is_kept:
        further |= kept_responses.kept(turns="turns", freed="freed", organization="$1")
    return _statement({**_ended(turns, after=2 + len(columns)), **further}, "SELECT position FROM ended")


# By whether the turns have Idempotency-Keys, and whether they are kept as responses.
END = {(once, kept): _end(has_keys=once, is_kept=kept) for once in (False, True) for kept in (False, True)}
