"""What the audit log says of where a command's changes come from."""

import getpass
import os
import secrets
import socket

from app.core.request_context import request_id_var, source_var


def note_origin() -> None:
    """Let the changes that follow in this task be those of one command, run by this user on this machine."""
    request_id_var.set(f"cli-{secrets.token_hex(6)}")
    source_var.set(f"{_user()}@{socket.gethostname()}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a user id that has no name.
        return str(os.getuid())
