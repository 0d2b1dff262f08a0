"""The database role of the API, the workers and the operator's commands. `junis migrate`, as the owner, makes it."""

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
# These are not changed either, but pruned. Triggers refuse to delete events and holds before they are sealed.
_PRUNED = frozenset({"messages", "metering_events"})
# Changed by migrations, and by triggers with the owner's rights.
_ONLY_READ = frozenset({"alembic_version", "configuration_versions"})
# Columns of those that are changed nevertheless.
_CHANGED_COLUMNS = {"messages": "superseded_by"}
_DELETED_FROM = frozenset(
    {
        *("agents", "console_sessions", "credit_alerts", "credit_holds", "idempotency_keys", "memberships"),
        *("list_count_changes", "outgoing_mails", "outputs", "sessions", "sign_in_attempts", "sub_agents"),
        *("unshown_api_keys", "user_idempotency_keys"),
    }
)
_READ, _APPEND, _CHANGE = "SELECT", "SELECT, INSERT", "SELECT, INSERT, UPDATE"
_ALL = f"{_CHANGE}, DELETE"

_RIGHTS = f"""
SELECT current_user = '{ROLE}' AS is_server, me.rolsuper AS is_superuser,
       me.rolsuper OR me.rolcreaterole AS may_create, r.oid IS NOT NULL AS exists,
       me.rolsuper OR coalesce(pg_has_role(r.oid, 'USAGE WITH ADMIN OPTION'), false) AS may_alter
FROM pg_roles me LEFT JOIN pg_roles r ON r.rolname = '{ROLE}' WHERE me.rolname = current_user
"""
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


@dataclass(frozen=True)
class _Rights:
    """What the role of DATABASE_URL is, and may do with the server's role."""

    is_server: bool
    is_superuser: bool
    may_create: bool
    exists: bool
    may_alter: bool


def read_server_password() -> str:
    """The setting SERVER_DATABASE_PASSWORD; empty if it is not set.

    Raises:
        InvalidSettingsError: Postgres could not read it as it is written.
    """
    try:
        return ServerRoleSettings().server_database_password.get_secret_value()
    except ValidationError:
        raise InvalidSettingsError(
            "SERVER_DATABASE_PASSWORD: must be printable ASCII; letters and digits can stand in a URL as they are"
        ) from None


async def set_up_server_role(tx: Transaction, password: str) -> str | None:
    """Make the server's role, or give it this password, and grant it what the server needs and nothing else.

    Returns:
        What the operator has to do by hand; None if nothing is.

    Raises:
        CommandFailedError: the role does not exist and may not be made, or DATABASE_URL is that role itself.
    """
    await tx.execute(_ROLE_LOCK)
    rights = await _read_rights(tx)
    if rights.is_server:
        raise CommandFailedError(f"DATABASE_URL must be the tables' owner for `junis migrate`, not {ROLE}")
    if not rights.exists and not rights.may_create:
        raise CommandFailedError(
            f"The role of DATABASE_URL may not create roles. As a role that may, run: CREATE ROLE {ROLE} LOGIN"
            " PASSWORD '…', with the password of SERVER_DATABASE_PASSWORD; then run `junis migrate` again"
        )
    may_set = rights.may_alter if rights.exists else rights.may_create
    if may_set:
        await _save_role(tx, rights, password)
    await _grant(tx)
    if may_set:
        return None
    return f"The role of DATABASE_URL may not change {ROLE}: if its password is another one, set it by ALTER ROLE"


async def _read_rights(tx: Transaction) -> _Rights:
    row = await tx.fetchrow(_RIGHTS)
    if row is None:
        raise CommandFailedError("Postgres does not know the role of DATABASE_URL")
    return _Rights(row["is_server"], row["is_superuser"], row["may_create"], row["exists"], row["may_alter"])


async def _save_role(tx: Transaction, rights: _Rights, password: str) -> None:
    verifier = scram_verifier(password, secrets.token_bytes(16))
    verb = "ALTER" if rights.exists else "CREATE"
    plain = _PLAIN if rights.is_superuser else ""
    await tx.execute(f"{verb} ROLE {ROLE} LOGIN {plain} PASSWORD '{verifier}'")


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
