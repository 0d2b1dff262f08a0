import json
import stat
from pathlib import Path

import pytest

from devstack.credentials import Credentials, knows_console, read_credentials, write_quickstart_file
from devstack.private_files import make_private, read_or_create_secret

CREDENTIALS = Credentials("jns_live_key", "admin@example.com", "password")


def test_the_file_holds_the_address_and_the_credentials(tmp_path: Path) -> None:
    path = tmp_path / "quickstart.json"

    write_quickstart_file(path, "http://127.0.0.1:8000", CREDENTIALS)

    assert json.loads(path.read_text()) == {
        "base_url": "http://127.0.0.1:8000/api/external",
        "openai_base_url": "http://127.0.0.1:8000/api/external/v1",
        "console_url": "http://127.0.0.1:8000/admin",
        "api_key": "jns_live_key",
        "admin_email": "admin@example.com",
        "admin_password": "password",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_credentials(path) == CREDENTIALS


def test_a_file_of_before_there_was_a_console_is_known_by_that(tmp_path: Path) -> None:
    path = tmp_path / "quickstart.json"
    write_quickstart_file(path, "http://127.0.0.1:8000", CREDENTIALS)
    newer = knows_console(path)
    content = json.loads(path.read_text())
    del content["console_url"]
    path.write_text(json.dumps(content))

    assert newer
    assert not knows_console(path)
    assert read_credentials(path) == CREDENTIALS


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"api_key": "k", "admin_email": "e", "admin_password": ""}']
)
def test_an_incomplete_file_holds_no_credentials(tmp_path: Path, content: str) -> None:
    path = tmp_path / "quickstart.json"
    path.write_text(content)

    assert read_credentials(path) is None


def test_without_a_file_there_are_no_credentials(tmp_path: Path) -> None:
    assert read_credentials(tmp_path / "quickstart.json") is None


def test_a_secret_is_generated_once(tmp_path: Path) -> None:
    first = read_or_create_secret(tmp_path / "secret")

    assert len(first) >= 43
    assert read_or_create_secret(tmp_path / "secret") == first
    assert read_or_create_secret(tmp_path / "other") != first
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("others", [(), ("of-somebody-else",)])
def test_a_data_folder_that_was_open_to_others_is_closed(tmp_path: Path, others: tuple[str, ...]) -> None:
    folder = tmp_path / "data"
    for name in ("objects", "logs", *others):
        (folder / name).mkdir(mode=0o755, parents=True)
    (folder / "lock").touch(mode=0o644)
    folder.chmod(0o755)

    make_private(folder, {"objects", "logs", "lock", "postgres"})

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert (modes.pop("objects"), modes.pop("logs"), modes.pop("lock")) == (0o700, 0o700, 0o600)
    # A folder that others use too is theirs.
    assert modes == ({"data": 0o755, "of-somebody-else": 0o755} if others else {"data": 0o700})


def test_a_new_data_folder_is_private(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "data", ())

    assert stat.S_IMODE((tmp_path / "a" / "data").stat().st_mode) == 0o700
