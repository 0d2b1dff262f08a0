"""Create a Postgres cluster in one step: afterwards it exists as a whole or not at all."""

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from devstack import process
from devstack.account import account_for, give_to
from devstack.errors import StartupError
from devstack.private_files import write_private

SUPERUSER = "app"
# Owns the database and what is in it, and may do nothing else.
OWNER = "junis"
DATABASE = "junis"
OWNER_PASSWORD = "owner_password"  # noqa: S105 - the name of its file

_UNFINISHED = ".unfinished"
_POLL = 0.02
_DEATH_SIGNAL = signal.SIGKILL
# Clusters of earlier versions have no owner: the superuser made all that is in them.
_GIVE_AWAY = """
DO $$ DECLARE found record; BEGIN
FOR found IN
SELECT format('ALTER TABLE %s OWNER TO {owner}', oid::regclass) AS statement FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
UNION ALL
SELECT format('ALTER ROUTINE %s OWNER TO {owner}', oid::regprocedure) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
LOOP EXECUTE found.statement; END LOOP; END $$
"""


def create_cluster(
    folder: Path,
    *,
    programs: Path,
    env: Mapping[str, str],
    log: Path,
    durable: bool,
    pause: Callable[[float], None],
) -> None:
    """Create `folder` with a cluster in `data`, its database, and the superuser's password in `password`.

    The database has an owner who is no superuser, with the password in `owner_password`. The folder is created under a
    temporary name next to it and renamed at the end. Remains of a killed attempt are removed.

    Raises:
        StartupError: initdb or Postgres failed.
    """
    for remains in folder.parent.glob(f"{folder.name}.*{_UNFINISHED}"):
        shutil.rmtree(remains, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=_UNFINISHED, dir=folder.parent))
    account = account_for(unfinished, _DEATH_SIGNAL)
    write_private(unfinished / "password", secrets.token_urlsafe(24))
    give_to(account, unfinished, unfinished / "password")

    def run(command: Sequence[str], statement: str = "") -> None:
        _run([*account.prefix, *command], statement, env=env, log=log, pause=pause)

    data = str(unfinished / "data")
    run(_initdb(programs, data, str(unfinished / "password"), durable=durable))
    password = secrets.token_urlsafe(24)
    statements = (f"CREATE DATABASE {DATABASE}", *_owner(password))
    run(_single_user(programs, data, durable=durable), "".join(f"{statement}\n" for statement in statements))
    write_private(unfinished / OWNER_PASSWORD, password)
    unfinished.rename(folder)
    if durable:
        _sync(folder.parent)


def add_owner(
    folder: Path,
    *,
    programs: Path,
    env: Mapping[str, str],
    log: Path,
    durable: bool,
    pause: Callable[[float], None],
) -> None:
    """Give a cluster of an earlier version, which must not be running, its owner. Again if it was interrupted.

    Raises:
        StartupError: Postgres failed.
    """
    password = secrets.token_urlsafe(24)
    missing = f"IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER}') THEN CREATE ROLE {OWNER}; END IF;"
    give_away = " ".join(_GIVE_AWAY.format(owner=OWNER).split())  # a line is a statement
    statements = (f"DO $$ BEGIN {missing} END $$", *_owner(password)[1:], give_away)
    command = _single_user(programs, str(folder / "data"), durable=durable, database=DATABASE)
    account = account_for(folder, _DEATH_SIGNAL)
    lines = "".join(f"{statement}\n" for statement in statements)
    _run([*account.prefix, *command], lines, env=env, log=log, pause=pause)
    write_private(folder / OWNER_PASSWORD, password)


def _owner(password: str) -> tuple[str, ...]:
    return (
        f"CREATE ROLE {OWNER}",
        f"ALTER ROLE {OWNER} LOGIN NOSUPERUSER PASSWORD '{password}'",
        f"ALTER DATABASE {DATABASE} OWNER TO {OWNER}",
    )


def _initdb(programs: Path, data: str, password_file: str, *, durable: bool) -> list[str]:
    command = [str(programs / "initdb"), "-D", data, "-U", SUPERUSER, f"--pwfile={password_file}"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
    return command if durable else [*command, "--no-sync"]


def _single_user(programs: Path, data: str, *, durable: bool, database: str = "postgres") -> list[str]:
    fsync = "on" if durable else "off"
    options = ["-D", data, "-c", "exit_on_error=on", "-c", f"fsync={fsync}"]
    return [str(programs / "postgres"), "--single", *options, database]


def _run(
    command: Sequence[str],
    statement: str,
    *,
    env: Mapping[str, str],
    log: Path,
    pause: Callable[[float], None],
) -> None:
    with tempfile.TemporaryFile() as stdin:
        stdin.write(statement.encode())
        stdin.seek(0)
        running = process.spawn(command, env=env, log=log, death_signal=_DEATH_SIGNAL, stdin=stdin)
        try:
            while running.poll() is None:
                pause(_POLL)
        finally:
            process.kill(running)
    if running.returncode != 0:
        raise StartupError("The program that creates the database", f"ended with status {running.returncode}", log)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
