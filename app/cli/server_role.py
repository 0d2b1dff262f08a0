"""The database role of the API, the workers and the operator's commands. `junis migrate`, as the owner, makes it.

The rights are those of `junis_server`. While its password is changed, processes of both passwords run, and a role has
one password only: so another role may sign in that is a member of it and has the same rights.
"""

import re
import secrets
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.cli.reporting import CommandFailedError
from app.core.database import Transaction
from app.core.scram import scram_verifier
from app.core.settings import InvalidSettingsError, stripped

ROLE = "junis_server"

# What no code changes or deletes cannot be changed or deleted, whoever has the server's password.
_APPEND_ONLY = frozenset({"agent_versions", "audit_events", "ledger_entries", "prices"})
# These are not changed either, but deleted. Triggers refuse to delete events and holds before they are sealed.
_PRUNED = frozenset({"kept_responses", "messages", "metering_events", "response_events"})
# Changed by migrations, and by triggers with the owner's rights.
_ONLY_READ = frozenset({"alembic_version", "configuration_versions"})
# Columns of those that are changed nevertheless.
_CHANGED_COLUMNS = {"messages": "superseded_by"}
_DELETED_FROM = frozenset(
    {
        *("agents", "console_sessions", "credit_alerts", "credit_holds", "idempotency_keys", "memberships"),
        *(
            "input_files",
            "list_count_changes",
            "outgoing_mails",
            "outputs",
            "response_runs",
            "sessions",
            "sign_in_attempts",
            "sub_agents",
        ),
        *("unshown_api_keys", "user_idempotency_keys", "webhook_endpoints", "webhook_events"),
    }
)
_READ, _APPEND, _CHANGE = "SELECT", "SELECT, INSERT", "SELECT, INSERT, UPDATE"
_ALL = f"{_CHANGE}, DELETE"

_RIGHTS = f"""
SELECT current_user = $1 AS is_server, me.rolsuper AS is_superuser,
       me.rolsuper OR me.rolcreaterole AS may_create, r.oid IS NOT NULL AS exists,
       me.rolsuper OR coalesce(pg_has_role(r.oid, 'USAGE WITH ADMIN OPTION'), false) AS may_alter,
       coalesce(pg_has_role(r.oid, s.oid, 'USAGE'), false) AS is_member
FROM pg_roles me LEFT JOIN pg_roles r ON r.rolname = $1 LEFT JOIN pg_roles s ON s.rolname = '{ROLE}'
WHERE me.rolname = current_user
"""
# It is written into statements as it is.
_ROLE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# Only a superuser may say what a role is not.
_PLAIN = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT -1"
_OURS = "SELECT quote_ident(schemaname) AS schema, tablename AS name FROM pg_tables WHERE schemaname = current_schema()"
# Any constant will do; see migrations/env.py for that of the migrations.
_ROLE_LOCK = "SELECT pg_advisory_xact_lock(74710002)"


class ServerRoleSettings(BaseSettings):
    """What `junis migrate` alone reads."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    server_database_user: str = ROLE
    server_database_password: SecretStr = SecretStr("")

    @model_validator(mode="before")
    @classmethod
    def _strip(cls, values: Any) -> Any:
        return stripped(values)

    @field_validator("server_database_password")
    @classmethod
    def _is_printable(cls, value: SecretStr) -> SecretStr:
        password = value.get_secret_value()
        if not (password.isascii() and password.isprintable()):
            raise ValueError("must be printable ASCII")
        return value

    @field_validator("server_database_user")
    @classmethod
    def _is_plain(cls, value: str) -> str:
        if not _ROLE_NAME.fullmatch(value):
            raise ValueError("must be small letters, digits and underscores")
        return value


@dataclass(frozen=True)
class _Rights:
    """What the role of DATABASE_URL is, and may do with a role that signs in as the server."""

    is_server: bool
    is_superuser: bool
    may_create: bool
    exists: bool
    may_alter: bool
    is_member: bool


def read_server_role() -> tuple[str, str]:
    """The settings SERVER_DATABASE_USER and SERVER_DATABASE_PASSWORD; the password is empty if it is not set.

    Raises:
        InvalidSettingsError: Postgres could not read one as it is written.
    """
    try:
        settings = ServerRoleSettings()
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        reason = {
            "server_database_user": "must be small letters, digits and underscores",
            "server_database_password": "must be printable ASCII; letters and digits can stand in a URL as they are",
        }[name]
        raise InvalidSettingsError(f"{name.upper()}: {reason}") from None
    return settings.server_database_user, settings.server_database_password.get_secret_value()


async def set_up_server_role(tx: Transaction, user: str, password: str) -> str | None:
    """Make the role as which the server signs in, or give it this password, and grant what the server needs, no more.

    Args:
        tx: a transaction of the tables' owner.
        user: the role. If it is not `junis_server` itself, it becomes a member of that one, which is left as it is.
        password: the role's.

    Returns:
        What the operator has to do by hand; None if nothing is.

    Raises:
        CommandFailedError: the role does not exist and may not be made, or DATABASE_URL is that role itself.
    """
    await tx.execute(_ROLE_LOCK)
    for role in dict.fromkeys((ROLE, user)):
        if (await _read_rights(tx, role)).is_server:
            raise CommandFailedError(f"DATABASE_URL must be the tables' owner for `junis migrate`, not {role}")
    if user == ROLE:
        note = await _save_login(tx, ROLE, password)
        await _grant(tx)
        return note
    rights = await _read_rights(tx, ROLE)
    if not rights.exists:
        _require_that_it_can_be_made(rights, f"CREATE ROLE {ROLE} NOLOGIN")
        await tx.execute(f"CREATE ROLE {ROLE} NOLOGIN {_PLAIN if rights.is_superuser else ''}")
    await _grant(tx)
    return await _set_up_member(tx, user, password)


async def _set_up_member(tx: Transaction, user: str, password: str) -> str | None:
    """Let another role sign in with the rights of the server's."""
    note = await _save_login(tx, user, password)
    if (await _read_rights(tx, user)).is_member:
        return note
    if not (await _read_rights(tx, ROLE)).may_alter:
        return f"The role of DATABASE_URL may not do it: as a role that may, run: GRANT {ROLE} TO {user}"
    await tx.execute(f"GRANT {ROLE} TO {user}")
    return note


async def _save_login(tx: Transaction, user: str, password: str) -> str | None:
    """Make the role, or give it this password, if we may. Returns what is to be done by hand."""
    rights = await _read_rights(tx, user)
    _require_that_it_can_be_made(rights, f"CREATE ROLE {user} LOGIN PASSWORD '…'")
    if rights.exists and not rights.may_alter:
        return f"The role of DATABASE_URL may not change {user}: if its password is another one, set it by ALTER ROLE"
    verifier = scram_verifier(password, secrets.token_bytes(16))
    verb = "ALTER" if rights.exists else "CREATE"
    plain = _PLAIN if rights.is_superuser else ""
    await tx.execute(f"{verb} ROLE {user} LOGIN {plain} PASSWORD '{verifier}'")
    return None


def _require_that_it_can_be_made(rights: _Rights, statement: str) -> None:
    if not rights.exists and not rights.may_create:
        raise CommandFailedError(
            f"The role of DATABASE_URL may not create roles. As a role that may, run: {statement}"
            ", with the password of SERVER_DATABASE_PASSWORD; then run `junis migrate` again"
        )


async def _read_rights(tx: Transaction, role: str) -> _Rights:
    row = await tx.fetchrow(_RIGHTS, role)
    if row is None:
        raise CommandFailedError("Postgres does not know the role of DATABASE_URL")
    return _Rights(**row)


async def _grant(tx: Transaction) -> None:
    """Grant what this version needs. What the version before needs as well is withdrawn one release later."""
    tables = await tx.fetch(_OURS)
    schema = tables[0]["schema"]
    await tx.execute(f"GRANT USAGE ON SCHEMA {schema} TO {ROLE}")
    for table in tables:
        name = table["name"]
        await tx.execute(f"REVOKE ALL ON {schema}.{name} FROM {ROLE}")
        await tx.execute(f"GRANT {needed_privileges(name)} ON {schema}.{name} TO {ROLE}")
        if column := _CHANGED_COLUMNS.get(name):
            await tx.execute(f"GRANT UPDATE ({column}) ON {schema}.{name} TO {ROLE}")
    await tx.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {ROLE}")
    # Tables of later migrations, should they be run without SERVER_DATABASE_PASSWORD.
    for what in (f"{_ALL} ON TABLES", "USAGE ON SEQUENCES"):
        await tx.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {what} TO {ROLE}")


def needed_privileges(table: str) -> str:
    """What the server does with a table, as the list of a GRANT."""
    if table in _ONLY_READ:
        return _READ
    if table in _APPEND_ONLY:
        return _APPEND
    if table in _PRUNED:
        return f"{_APPEND}, DELETE"
    return _ALL if table in _DELETED_FROM else _CHANGE
