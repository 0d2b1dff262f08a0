"""The server's own role, which `junis migrate` makes: what it may do, and that everything works under it."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from app.cli.server_role import read_server_role
from app.core.settings import InvalidSettingsError
from devstack.servers import EmbeddedServers
from tests import programs
from tests.cli.databases import clone, execute, query
from tests.cli.outcome import Outcome, run_process
from tests.waiting import wait_until

_PASSWORD = "Between-you-and-me-17"
_SECOND = "junis_server_2"
_CHAT = "/v1/chat/completions"
_ROLE = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolcanlogin, rolconnlimit FROM pg_roles"
_GRANTS = """
SELECT c.relname, string_agg(a.privilege_type, ' ' ORDER BY a.privilege_type)
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
WHERE c.relkind = 'r' AND a.grantee = 'junis_server'::regrole GROUP BY 1
"""


def as_role(url: str, role: str, password: str) -> str:
    """The URL of the same database for another role."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}:{password}@{parts.hostname}:{parts.port}").geturl()


def as_server(url: str, password: str = _PASSWORD) -> str:
    return as_role(url, "junis_server", password)


def migrate(url: str, password: str = _PASSWORD, *options: str, user: str = "") -> Outcome:
    return run_process(
        "migrate", *options, DATABASE_URL=url, SERVER_DATABASE_USER=user, SERVER_DATABASE_PASSWORD=password
    )


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Servers of this module's own: in those of the run the role is in use."""
    with EmbeddedServers(tmp_path_factory.mktemp("own"), durable=False) as servers:
        assert migrate(servers.database_url, "").status == 0
        yield servers


@pytest.fixture
def owned(own: EmbeddedServers) -> Iterator[str]:
    """The URL of a migrated database for its owner, without the server's role."""
    with clone(own.database_url, "junis") as url:
        if has_role(url):
            execute(url, "DROP OWNED BY junis_server")
        execute(url, f"DROP ROLE IF EXISTS junis_server, {_SECOND}")
        yield url
        if has_role(url):
            execute(url, "DROP OWNED BY junis_server")


def has_role(url: str) -> bool:
    return bool(query(url, f"{_ROLE} WHERE rolname = 'junis_server'"))


@pytest.fixture
def plain_owner(owned: str) -> Iterator[str]:
    """The URL of the same database for an owner that may not create roles, as of a managed Postgres."""
    name = f"owner_{secrets.token_hex(4)}"
    execute(owned, f"CREATE ROLE {name} LOGIN PASSWORD 'plain'")
    tables = query(owned, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    execute(owned, f"ALTER SCHEMA public OWNER TO {name}")
    for (table,) in tables:
        execute(owned, f"ALTER TABLE {table} OWNER TO {name}")
    yield as_role(owned, name, "plain")
    execute(owned, "ALTER SCHEMA public OWNER TO pg_database_owner")
    for (table,) in tables:
        execute(owned, f"ALTER TABLE {table} OWNER TO CURRENT_USER")
    execute(owned, f"DROP OWNED BY {name}")
    execute(owned, f"DROP ROLE {name}")


def test_nothing_happens_without_the_setting(owned: str) -> None:
    assert migrate(owned, "").status == 0

    assert not has_role(owned)


def test_the_role_can_log_in_and_nothing_else(owned: str) -> None:
    migrated = migrate(owned)

    assert (migrated.status, migrated.stderr) == (0, "The database schema is up to date\n")
    (role,) = query(owned, f"{_ROLE} WHERE rolname = 'junis_server'")
    assert role == (False, False, False, False, True, -1)
    assert query(as_server(owned), "SELECT current_user") == [("junis_server",)]


def test_the_role_may_change_only_what_the_server_changes(owned: str) -> None:
    migrate(owned)

    grants = dict(query(owned, _GRANTS))
    assert {table for table, granted in grants.items() if granted == "SELECT"} == {
        "alembic_version",
        "configuration_versions",
    }
    assert {table for table, granted in grants.items() if granted == "INSERT SELECT"} == {
        "agent_versions",
        "audit_events",
        "ledger_entries",
        "prices",
    }
    assert {table for table, granted in grants.items() if "DELETE" in granted} == {
        "agents",
        "console_sessions",
        "credit_alerts",
        "credit_holds",
        "idempotency_keys",
        "input_files",
        "kept_responses",
        "list_count_changes",
        "memberships",
        "messages",
        "metering_events",
        "outgoing_mails",
        "outputs",
        "response_events",
        "response_runs",
        "sessions",
        "sign_in_attempts",
        "sub_agents",
        "unshown_api_keys",
        "user_idempotency_keys",
        "webhook_endpoints",
        "webhook_events",
    }
    for statement in (
        "UPDATE ledger_entries SET amount = 0",
        "UPDATE metering_events SET cost = 0",
        "UPDATE audit_events SET actor_id = 'somebody else'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE alembic_version SET version_num = '0001'",
        "UPDATE messages SET content = NULL",
        "TRUNCATE outputs",
        "DROP TABLE outputs",
        "CREATE TABLE mine (id int)",
        "ALTER TABLE ledger_entries DISABLE TRIGGER ALL",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            execute(as_server(owned), statement)


def test_the_role_may_mark_messages_as_superseded(owned: str) -> None:
    migrate(owned)

    execute(as_server(owned), "UPDATE messages SET superseded_by = 'turn-1'")


def test_tables_of_later_migrations_are_the_servers_too(owned: str) -> None:
    migrate(owned)

    execute(owned, "CREATE TABLE later (id int GENERATED ALWAYS AS IDENTITY, word text)")
    execute(as_server(owned), "INSERT INTO later (word) VALUES ('new')")
    execute(as_server(owned), "UPDATE later SET word = 'changed'")

    assert query(as_server(owned), "SELECT word FROM later") == [("changed",)]


def test_another_password_replaces_the_first_one(owned: str) -> None:
    migrate(owned, "the-first-one")
    migrate(owned)

    assert query(as_server(owned), "SELECT 1") == [(1,)]
    with pytest.raises(asyncpg.InvalidPasswordError):
        query(as_server(owned, "the-first-one"), "SELECT 1")


def test_a_second_role_has_the_same_rights_and_the_first_one_stays_as_it_is(owned: str) -> None:
    migrate(owned)

    changed = migrate(owned, "the-second-one", user=_SECOND)

    assert (changed.status, changed.stderr) == (0, "The database schema is up to date\n")
    second = as_role(owned, _SECOND, "the-second-one")
    assert query(as_server(owned), "SELECT 1") == [(1,)]
    execute(second, "UPDATE messages SET superseded_by = 'turn-1'")
    execute(owned, "CREATE TABLE later_still (word text)")
    execute(second, "INSERT INTO later_still VALUES ('new')")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        execute(second, "DELETE FROM ledger_entries")
    (role,) = query(owned, f"{_ROLE} WHERE rolname = '{_SECOND}'")
    assert role == (False, False, False, False, True, -1)


def test_a_role_that_was_closed_is_opened_only_when_it_takes_its_turn_again(owned: str) -> None:
    assert migrate(owned, "the-second-one", user=_SECOND).status == 0
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        query(as_server(owned, "the-second-one"), "SELECT 1")

    migrate(owned)

    assert query(as_server(owned), "SELECT count(*) >= 0 FROM messages") == [(True,)]
    assert query(as_role(owned, _SECOND, "the-second-one"), "SELECT 1") == [(1,)]


def test_an_owner_that_may_not_grant_is_told_how_to_do_it_by_hand(owned: str, plain_owner: str) -> None:
    execute(owned, "CREATE ROLE junis_server")
    execute(owned, f"CREATE ROLE {_SECOND} LOGIN PASSWORD '{_PASSWORD}'")

    told = migrate(plain_owner, user=_SECOND)
    execute(owned, f"GRANT junis_server TO {_SECOND}")
    made = migrate(plain_owner, user=_SECOND)

    assert f"GRANT junis_server TO {_SECOND}" in told.stderr
    assert f"GRANT junis_server TO {_SECOND}" not in made.stderr
    assert made.status == 0


@pytest.mark.parametrize("user", ["Junis", "a b", "x; DROP ROLE junis", "0th"])
def test_a_name_that_would_have_to_be_quoted_is_refused(monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    monkeypatch.setenv("SERVER_DATABASE_USER", user)

    with pytest.raises(InvalidSettingsError, match="SERVER_DATABASE_USER: must be small letters"):
        read_server_role()


def test_rights_that_were_given_by_hand_are_taken_back(owned: str) -> None:
    migrate(owned)
    execute(owned, "ALTER ROLE junis_server SUPERUSER CREATEROLE")
    execute(owned, "GRANT ALL ON ledger_entries TO junis_server")

    migrate(owned)

    assert query(owned, f"{_ROLE} WHERE rolname = 'junis_server'") == [(False, False, False, False, True, -1)]
    assert dict(query(owned, _GRANTS))["ledger_entries"] == "INSERT SELECT"


def test_the_password_is_in_no_log_of_postgres(owned: str, own: EmbeddedServers) -> None:
    database = urlsplit(owned).path[1:]
    execute(owned, f"ALTER DATABASE {database} SET log_statement = 'all'")

    assert migrate(owned).status == 0

    log = own.postgres.log.read_text()
    assert "ROLE junis_server LOGIN" in log
    assert _PASSWORD not in log


@pytest.mark.parametrize("password", ["snowman ☃", "two\nlines"])
def test_a_password_that_postgres_would_read_in_another_way_is_refused(owned: str, password: str) -> None:
    migrated = migrate(owned, password)

    assert migrated.status == 2
    assert migrated.stderr.startswith("error: SERVER_DATABASE_PASSWORD: must be printable ASCII")
    assert password not in migrated.stderr


def test_several_migrators_make_the_role_once(owned: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": owned, "SERVER_DATABASE_PASSWORD": _PASSWORD}
    several = [programs.migration(settings, tmp_path / f"{number}.log") for number in range(3)]
    for program in several:
        program.launch()
    wait_until(lambda: all(program.running.poll() is not None for program in several))

    assert [program.running.returncode for program in several] == [0, 0, 0]
    assert query(as_server(owned), "SELECT 1") == [(1,)]


def test_check_works_for_the_server_and_migrate_says_who_it_needs(owned: str) -> None:
    migrate(owned)

    checked = migrate(as_server(owned), "", "--check")
    refused = migrate(as_server(owned))
    execute(owned, "UPDATE alembic_version SET version_num = '0013'")
    behind = migrate(as_server(owned), "")

    assert (checked.status, checked.stderr) == (0, "The database schema is up to date\n")
    assert refused.status == 1
    assert refused.stderr == "error: DATABASE_URL must be the tables' owner for `junis migrate`, not junis_server\n"
    assert behind.status == 1
    assert behind.stderr.splitlines()[-1].startswith("error: The role of DATABASE_URL lacks a privilege")


def test_an_owner_that_may_not_create_roles_is_told_how_to_do_it_by_hand(owned: str, plain_owner: str) -> None:
    refused = migrate(plain_owner)
    execute(owned, f"CREATE ROLE junis_server LOGIN PASSWORD '{_PASSWORD}'")
    made = migrate(plain_owner)

    assert refused.status == 1
    assert len(refused.stderr.splitlines()) == 1
    assert "CREATE ROLE junis_server LOGIN PASSWORD" in refused.stderr
    assert made.status == 0
    assert "may not change junis_server" in made.stderr
    assert dict(query(owned, _GRANTS))["alembic_version"] == "SELECT"


def test_an_owner_that_may_create_roles_makes_it_without_being_superuser(owned: str, plain_owner: str) -> None:
    execute(owned, f"ALTER ROLE {urlsplit(plain_owner).username} CREATEROLE")

    assert [migrate(plain_owner, password).status for password in ("the-first-one", _PASSWORD)] == [0, 0]

    assert query(as_server(owned), "SELECT current_user") == [("junis_server",)]


def test_api_worker_and_commands_run_under_the_role(owned: str, environment: dict[str, str], tmp_path: Path) -> None:
    assert migrate(owned).status == 0
    settings = environment | {"DATABASE_URL": as_server(owned), "LOCAL_STORAGE_DIR": str(tmp_path / "objects")}

    def junis(*words: str) -> str:
        done = run_process(*words, stdin=b"", **settings)
        assert done.status == 0, f"{words}: {done.stderr}"
        return done.stdout

    demo = json.loads(junis("demo"))
    org = ("--org", "Acme")
    junis("catalog", "import")
    junis("orgs", "create", "--name", "Acme", "--plan", "pro", "--owner-email", "ada@acme.example")
    junis("orgs", "set-plan", "basic", *org)
    junis("plans", "set", "pro", "--requests-per-minute", "1000")
    junis("credits", "grant", *org, "--amount", "25")
    junis("credits", "adjust", *org, "--amount", "-5", "--reason", "Too much", "--reference", "ticket")
    junis("keys", "create", *org, "--name", "backend", "--all-scopes")
    junis("keys", "list", *org)
    with (
        programs.running_api(settings, tmp_path / "api.log") as url,
        programs.running_worker({**settings, "PUBLIC_URL": url}, tmp_path / "worker.log"),
        httpx.Client(base_url=f"{url}/api/external", headers={"X-API-Key": demo["api_key"]}, timeout=60) as client,
    ):
        hello = {"messages": [{"role": "user", "content": "Hello"}]}
        for _ in range(2):
            client.post(_CHAT, json=hello, headers={"Idempotency-Key": "once"}).raise_for_status()
        picture = {"messages": [{"role": "user", "content": "Please make simulator/image of a lighthouse"}]}
        (made,) = client.post(_CHAT, json=picture).raise_for_status().json()["generated_content"]
        wait_until(lambda: client.get(f"/content/{made['id']}").json()["status"] == "completed")
        for path in ("/content", "/credits", "/sessions", "/agents", "/v1/models"):
            client.get(path).raise_for_status()
        junis("reconcile", "predictions", "--tolerance", "1000000")
    junis("verify-ledger")

    logs = [(tmp_path / name).read_text() for name in ("api.log", "worker.log")]
    assert [log for log in logs if "permission denied" in log] == []


def test_white_space_at_the_ends_of_the_password_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_DATABASE_PASSWORD", " geheim\n")

    assert read_server_role() == ("junis_server", "geheim")
