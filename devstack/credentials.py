"""How the first user signs in: created once, kept in quickstart.json."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from devstack.private_files import write_private

_CONSOLE = "console_url"


@dataclass(frozen=True)
class Credentials:
    """An API key and the administrator of the demo organization."""

    api_key: str
    admin_email: str
    admin_password: str


def parse_credentials(text: str) -> Credentials | None:
    """The credentials in a JSON object, which may hold more; None if they are incomplete."""
    try:
        found = json.loads(text)
        credentials = Credentials(found["api_key"], found["admin_email"], found["admin_password"])
    except (ValueError, KeyError, TypeError):
        return None
    return credentials if all(asdict(credentials).values()) else None


def read_credentials(path: Path) -> Credentials | None:
    """The credentials of an earlier start; None if there are none."""
    return parse_credentials(path.read_text()) if path.is_file() else None


def knows_console(path: Path) -> bool:
    """Whether the file of an earlier start is of a version that had a console."""
    return f'"{_CONSOLE}"' in path.read_text()


def write_quickstart_file(path: Path, origin: str, credentials: Credentials) -> None:
    """Record, for programs, where the server is and how to sign in."""
    base_url = f"{origin}/api/external"
    content = {
        "base_url": base_url,
        "openai_base_url": f"{base_url}/v1",
        _CONSOLE: f"{origin}/admin",
        "api_key": credentials.api_key,
        "admin_email": credentials.admin_email,
        "admin_password": credentials.admin_password,
    }
    write_private(path, json.dumps(content, indent=2) + "\n")
