from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import StackError

_HIGHEST_PORT = 65_535
# The address that a program listens on, and the one it is then reached at from this machine.
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "localhost": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}  # noqa: S104 - not bound


class SettingError(StackError):
    """A setting is missing or invalid."""


@dataclass(frozen=True)
class Config:
    """What the operator may choose about the quickstart."""

    host: str
    port: int
    data_dir: Path
    environ: Mapping[str, str]  # all of the operator's settings, passed on to the programs

    @property
    def origin(self) -> str:
        """The server's address as seen from this machine: scheme, host and port."""
        return f"http://{_REACHED_AT.get(self.host, self.host)}:{self.port}"

    @property
    def commands(self) -> Path:
        """The script that runs the operator's commands."""
        return self.data_dir / "junis"


def read_config(environ: Mapping[str, str], dotenv: Path) -> Config:
    """Read the settings; the environment takes precedence over the `.env` file.

    Raises:
        SettingError: PORT is not a port number.
    """
    written = parse_dotenv(dotenv.read_text()) if dotenv.is_file() else {}
    settings = {**written, **environ}
    return Config(
        host=settings.get("HOST") or "127.0.0.1",
        port=_parse_port(settings.get("PORT") or "8000"),
        data_dir=Path(settings.get("DATA_DIR") or ".data").expanduser().resolve(),
        environ=settings,
    )


def parse_dotenv(text: str) -> dict[str, str]:
    """The settings in lines of KEY=VALUE; quotes around a value, `export`, comments and blank lines are dropped."""
    settings = {}
    for line in text.splitlines():
        name, separator, value = line.strip().removeprefix("export ").partition("=")
        if separator and not name.startswith("#"):
            settings[name.strip()] = _unquote(value.strip())
    return settings


def _unquote(value: str) -> str:
    if value[:1] in {'"', "'"}:
        return value[1:].partition(value[0])[0]
    return value.partition(" #")[0].rstrip()


def _parse_port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= _HIGHEST_PORT:
        raise SettingError(f"PORT must be a number from 1 to {_HIGHEST_PORT}, not {text!r}")
    return int(text)
