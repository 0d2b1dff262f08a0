"""The user that Postgres runs as: it refuses to be root, and its user must have a name."""

import os
import pwd
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from devstack.process import succeeds


@dataclass(frozen=True)
class Account:
    """A command that runs another one as an ordinary user, and who must own the files for that."""

    prefix: tuple[str, ...] = ()
    owner: tuple[int, int] | None = None  # user and group id; None: us


def account_for(folder: Path, death_signal: signal.Signals) -> Account:
    """The user that a server with its data in `folder` can run as.

    If we are an ordinary user, so is the server. If we are root, or a container's user id without a name, it runs in
    a user namespace, in which it is an ordinary user while its files stay ours. If namespaces are not allowed, as in
    most containers, root runs it as `nobody`. A folder that belongs to another user keeps that user.

    Args:
        folder: The data's folder, existing or not.
        death_signal: Sent when we die. Changing the user resets it, so the command must ask for it again.
    """
    is_root = os.geteuid() == 0
    if not is_root and _has_name(os.geteuid()):
        return Account()
    if is_root and folder.exists() and (owner := folder.stat()).st_uid != 0:
        return _switched(owner.st_uid, owner.st_gid, death_signal)
    ordinary = _ordinary_account()
    namespace = ("unshare", "-U", f"--map-user={ordinary.pw_uid}", f"--map-group={ordinary.pw_gid}", "--")
    if _works(namespace):
        return Account(namespace)
    return _switched(ordinary.pw_uid, ordinary.pw_gid, death_signal) if is_root else Account()


def give_to(account: Account, *paths: Path) -> None:
    """Make the account the owner of files that we created for it."""
    if account.owner is not None:
        for path in paths:
            os.chown(path, *account.owner)


def _switched(uid: int, gid: int, death_signal: signal.Signals) -> Account:
    switch = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", f"--pdeathsig={death_signal.name}")
    # With it, the way to the programs and the data may lead through folders closed to others, such as /root.
    access = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return Account((*switch, *access, "--"), (uid, gid))


def _works(prefix: tuple[str, ...]) -> bool:
    return shutil.which(prefix[0]) is not None and succeeds([*prefix, "true"])


def _has_name(uid: int) -> bool:
    return any(entry.pw_uid == uid for entry in pwd.getpwall())


def _ordinary_account() -> pwd.struct_passwd:
    accounts = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    return max(accounts, key=lambda entry: entry.pw_name == "nobody")
