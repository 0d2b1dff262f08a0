"""`junis objects`: every file that the database lists is read back, and copied into a folder and out of it again."""

from pathlib import Path

import pytest

from tests.cli.conftest import Junis
from tests.cli.databases import execute
from tests.cli.pictures import add_pictures

COUNT = 5


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the object store."""
    folder = tmp_path / "store"
    monkeypatch.setenv("STORAGE", "local")
    monkeypatch.setenv("LOCAL_STORAGE_DIR", str(folder))
    return folder


@pytest.fixture
def files(junis: Junis, acme: str, database_url: str, store: Path) -> list[Path]:
    """The files of Acme's pictures."""
    assert acme
    return add_pictures(junis, database_url, store, COUNT)


def test_each_file_is_read_and_compared(junis: Junis, files: list[Path]) -> None:
    whole = junis("objects", "verify")
    files[0].unlink()
    files[1].write_bytes(b"x" + files[1].read_bytes()[1:])

    broken = junis("objects", "verify")

    size = sum(len(f"picture {number}") * 1000 for number in range(COUNT))
    assert (whole.status, whole.stdout) == (0, "")
    assert whole.stderr == f"Read: {COUNT} files with {size:,} bytes, of which 0 were copied\n"
    assert broken.status == 1
    assert sorted(line.split()[:3] for line in broken.stdout.splitlines()) == [
        ["generation/acme/0.webp", "is", "missing:"],
        ["generation/acme/1.webp", "has", "9,000"],
    ]
    assert "Missing or other: 2" in broken.stderr


def test_files_are_copied_once_and_into_another_store(
    junis: Junis, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = tmp_path / "copies"
    first = junis("objects", "export", str(copies))
    # As a crash or a bad disk may leave it.
    (copies / "generation/acme/2.webp").write_bytes(b"half")
    second = junis("objects", "export", str(copies))
    third = junis("objects", "export", str(copies))

    monkeypatch.setenv("LOCAL_STORAGE_DIR", str(tmp_path / "other"))
    without = junis("objects", "verify")
    restored = junis("objects", "import", str(copies))

    copied = [outcome.stderr.split("of which ")[1] for outcome in (first, second, third, restored)]
    assert copied == [f"{count} were copied\n" for count in (COUNT, 1, 0, COUNT)]
    assert without.status == 1
    assert junis("objects", "verify").status == 0
    for file in files:
        assert (tmp_path / "other/generation/acme" / file.name).read_bytes() == file.read_bytes()


def test_what_a_backup_has_not_whole_is_told_and_spoils_nothing_else(
    junis: Junis, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = tmp_path / "copies"
    junis("objects", "export", str(copies))
    (copies / "generation/acme/0.webp").write_bytes(b"of something else")
    (copies / "generation/acme/1.webp").unlink()
    monkeypatch.setenv("LOCAL_STORAGE_DIR", str(tmp_path / "other"))

    restored = junis("objects", "import", str(copies))

    assert restored.status == 1
    assert "of which 3 were copied" in restored.stderr
    assert len(restored.stdout.splitlines()) == 2
    assert sorted(path.name for path in (tmp_path / "other/generation/acme").iterdir()) == [
        file.name for file in files[2:]
    ]


def test_a_file_whose_row_goes_meanwhile_is_not_missed(junis: Junis, files: list[Path], database_url: str) -> None:
    files[0].unlink()
    execute(database_url, "UPDATE outputs SET size_bytes = NULL, sha256 = NULL WHERE storage_path LIKE '%/0.webp'")

    assert junis("objects", "verify").status == 0


def test_a_folder_that_is_not_there_is_told(junis: Junis, files: list[Path], tmp_path: Path) -> None:
    missing = junis("objects", "import", str(tmp_path / "nothing"))

    assert files
    assert missing.status == 1
    assert missing.stderr == f"error: There is no folder {tmp_path / 'nothing'}\n"
