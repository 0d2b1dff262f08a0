from collections.abc import Sequence
from datetime import timedelta

from app.accounts.signed_in import ABSOLUTE_END, IDLE_END, Account, Browser, OpenSession, PastAttempt
from app.core.crypto import new_id, sha256
from app.core.database import Transaction

# How long ended sessions are kept: by them browsers are known. How long attempts are.
_SESSIONS_KEPT = timedelta(days=180)
_ATTEMPTS_KEPT = timedelta(days=30)
# Within this time failures count, and not more of them than this.
_FAILURES_WITHIN = timedelta(minutes=15)
_MOST_COUNTED = 100
_LONGEST_USER_AGENT = 400


def is_open(session: str, idle: str, absolute: str) -> str:
    """The SQL condition that a session, given by the name of its table, has not ended.

    Args:
        session: the name of the table in the statement.
        idle: the parameter for `IDLE_END`.
        absolute: the parameter for `ABSOLUTE_END`.
    """
    return (
        f"{session}.ended_at IS NULL AND {session}.last_seen_at > now() - {idle}::interval"
        f" AND {session}.created_at > now() - {absolute}::interval"
    )


async def add_session(tx: Transaction, user_id: str, token_hash: bytes, browser: Browser) -> str:
    """Add a session, which shows the organization that the user has last looked at; returns its id.

    A few that ended long ago are deleted.
    """
    session_id = new_id("signin")
    await tx.execute(
        "DELETE FROM console_sessions WHERE id IN"
        " (SELECT id FROM console_sessions WHERE created_at < now() - $1::interval ORDER BY created_at LIMIT 3)",
        _SESSIONS_KEPT,
    )
    await tx.execute(
        "INSERT INTO console_sessions (id, user_id, token_hash, device_hash, address, user_agent, organization_id)"
        " VALUES ($1, $2, $3, $4, $5, $6, (SELECT organization_id FROM console_sessions"
        " WHERE user_id = $2 ORDER BY last_seen_at DESC LIMIT 1))",
        session_id,
        user_id,
        token_hash,
        sha256(browser.device),
        browser.address,
        browser.user_agent[:_LONGEST_USER_AGENT],
    )
    return session_id


async def list_open_sessions(tx: Transaction, user_id: str) -> Sequence[OpenSession]:
    """The user's sessions that have not ended, the last used first, a hundred at most."""
    rows = await tx.fetch(
        "SELECT id, address, user_agent, created_at, last_seen_at FROM console_sessions s"
        f" WHERE user_id = $1 AND {is_open('s', '$2', '$3')} ORDER BY last_seen_at DESC LIMIT 100",
        user_id,
        IDLE_END,
        ABSOLUTE_END,
    )
    return [OpenSession(**dict(row)) for row in rows]


async def note_seen(tx: Transaction, session_id: str, address: str) -> None:
    """Note that a session is used now, and from where."""
    await tx.execute(
        "UPDATE console_sessions SET last_seen_at = now(), address = $2 WHERE id = $1 AND ended_at IS NULL",
        session_id,
        address,
    )


async def end_session(tx: Transaction, user_id: str, session_id: str) -> bool:
    """End one of the user's sessions. False if there is none, or it has ended already."""
    ended = await tx.fetchval(
        "UPDATE console_sessions SET ended_at = now() WHERE user_id = $1 AND id = $2 AND ended_at IS NULL RETURNING id",
        user_id,
        session_id,
    )
    return ended is not None


async def end_session_of_token(tx: Transaction, token_hash: bytes) -> tuple[str, str] | None:
    """End the session with that token; returns the ids of its user and of itself, or None if there is none."""
    row = await tx.fetchrow(
        "UPDATE console_sessions SET ended_at = now() WHERE token_hash = $1 AND ended_at IS NULL RETURNING user_id, id",
        token_hash,
    )
    return (row["user_id"], row["id"]) if row else None


async def end_sessions(tx: Transaction, user_id: str, *, but: str | None = None) -> int:
    """End the user's sessions, except perhaps one; returns how many were still open."""
    rows = await tx.fetch(
        "UPDATE console_sessions s SET ended_at = now()"
        f" WHERE user_id = $1 AND id IS DISTINCT FROM $2 AND {is_open('s', '$3', '$4')} RETURNING id",
        user_id,
        but,
        IDLE_END,
        ABSOLUTE_END,
    )
    return len(rows)


async def end_sessions_in(tx: Transaction, user_id: str, organization_id: str) -> None:
    """End the user's sessions that show the organization, or have not chosen any."""
    await tx.execute(
        "UPDATE console_sessions SET ended_at = now() WHERE user_id = $1 AND ended_at IS NULL"
        " AND (organization_id = $2 OR organization_id IS NULL)",
        user_id,
        organization_id,
    )


async def choose_organization(tx: Transaction, user_id: str, session_id: str, organization_id: str) -> bool:
    """Let the session show one of its user's organizations. False if the user is no member of it, or suspended."""
    chosen = await tx.fetchval(
        "UPDATE console_sessions SET organization_id = $3 WHERE user_id = $1 AND id = $2 AND EXISTS"
        " (SELECT FROM memberships WHERE user_id = $1 AND organization_id = $3 AND suspended_at IS NULL)"
        " RETURNING id",
        user_id,
        session_id,
        organization_id,
    )
    return chosen is not None


async def is_known_device(tx: Transaction, user_id: str, device_hash: bytes) -> bool:
    """Whether the user has signed in with this browser before."""
    return bool(
        await tx.fetchval(
            "SELECT EXISTS (SELECT FROM console_sessions WHERE user_id = $1 AND device_hash = $2)", user_id, device_hash
        )
    )


async def add_attempt(tx: Transaction, email_hash: bytes, browser: Browser) -> int:
    """Add an attempt to sign in, which has failed unless it is noted otherwise; returns its id.

    A few old ones are deleted, so that there are never many.
    """
    await tx.execute(
        "DELETE FROM sign_in_attempts WHERE id IN"
        " (SELECT id FROM sign_in_attempts WHERE at < now() - $1::interval ORDER BY at LIMIT 3)",
        _ATTEMPTS_KEPT,
    )
    attempt_id: int = await tx.fetchval(
        "INSERT INTO sign_in_attempts (email_hash, address, device_hash, has_succeeded) VALUES ($1, $2, $3, false)"
        " RETURNING id",
        email_hash,
        browser.address,
        sha256(browser.device),
    )
    return attempt_id


async def note_success(tx: Transaction, attempt_id: int) -> None:
    """Note that an attempt has succeeded."""
    await tx.execute("UPDATE sign_in_attempts SET has_succeeded = true WHERE id = $1", attempt_id)


async def forget_attempt(tx: Transaction, attempt_id: int) -> None:
    """Forget an attempt that was none to sign in, and did not fail."""
    await tx.execute("DELETE FROM sign_in_attempts WHERE id = $1", attempt_id)


async def count_failures(tx: Transaction, email_hash: bytes) -> int:
    """How often signing in as somebody has failed of late, since it last succeeded."""
    count: int = await tx.fetchval(
        "SELECT count(*) FROM (SELECT has_succeeded FROM sign_in_attempts WHERE email_hash = $1"
        " AND at > greatest(now() - $2::interval, (SELECT max(at) FROM sign_in_attempts"
        " WHERE email_hash = $1 AND has_succeeded)) LIMIT $3) AS recent WHERE NOT has_succeeded",
        email_hash,
        _FAILURES_WITHIN,
        _MOST_COUNTED,
    )
    return count


async def count_failures_of_device(tx: Transaction, email_hash: bytes, device_hash: bytes) -> int:
    """How often a browser has failed of late to sign in as somebody."""
    count: int = await tx.fetchval(
        "SELECT count(*) FROM (SELECT FROM sign_in_attempts WHERE email_hash = $1 AND device_hash = $2"
        " AND NOT has_succeeded AND at > now() - $3::interval LIMIT $4) AS recent",
        email_hash,
        device_hash,
        _FAILURES_WITHIN,
        _MOST_COUNTED,
    )
    return count


async def count_failures_from(tx: Transaction, address: str, *, at_most: int) -> int:
    """How often an address has failed of late to sign in, as whomever. More than `at_most` are not counted."""
    count: int = await tx.fetchval(
        "SELECT count(*) FROM (SELECT FROM sign_in_attempts WHERE address = $1 AND NOT has_succeeded"
        " AND at > now() - $2::interval LIMIT $3) AS recent",
        address,
        _FAILURES_WITHIN,
        at_most,
    )
    return count


async def list_attempts(tx: Transaction, email_hash: bytes, limit: int) -> Sequence[PastAttempt]:
    """The last attempts to sign in as somebody, newest first."""
    rows = await tx.fetch(
        "SELECT at, address, has_succeeded FROM sign_in_attempts WHERE email_hash = $1 ORDER BY at DESC LIMIT $2",
        email_hash,
        limit,
    )
    return [PastAttempt(**dict(row)) for row in rows]


async def list_accounts(tx: Transaction) -> Sequence[Account]:
    """All users by their address."""
    rows = await tx.fetch(
        "SELECT u.id, u.email, u.is_operator, u.password_hash IS NOT NULL AS has_password,"
        " coalesce((SELECT string_agg(o.name || ' (' || m.role"
        " || CASE WHEN m.suspended_at IS NULL THEN '' ELSE ', suspended' END || ')', ', ' ORDER BY o.name)"
        " FROM memberships m JOIN organizations o ON o.id = m.organization_id WHERE m.user_id = u.id), '')"
        " AS organizations,"
        " (SELECT max(last_seen_at) FROM console_sessions s WHERE s.user_id = u.id) AS last_seen_at"
        " FROM users u ORDER BY lower(u.email)"
    )
    return [Account(**dict(row)) for row in rows]
