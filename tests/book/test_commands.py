"""Every command of docs/operations.md is run, or it is said why not.

`make book` runs the blocks that are marked `sh book` (`test_running.py`), `make deployment` those that are marked
`sh deployed`.
"""

from tests.book.page import PAGE, marked
from tests.docs.files import ROOT, blocks, read

# By its first line, the test of the real engine that takes a block from the page and runs it.
DEPLOYED = {
    "sh deploy/backup.sh backup": 'documented("backup")',
    "sh deploy/restore.sh --replace backup": 'documented("restore")',
}
# By how its first line begins, why a block is run nowhere.
ELSEWHERE = {
    "git pull": "there is nothing to pull; tests/upgrades and tests/deployment/test_rolling.py upgrade under load",
    "git checkout ": "the same, back",
    "docker build -t ": "`make deployment` builds the image with labels of its own",
    'echo "BASE_IMAGE=': "it asks a registry",
    "aws s3api ": "it asks AWS",
}


def first_lines(mark: str) -> list[str]:
    return [found.code.splitlines()[0] for found in marked(mark)]


def test_every_command_is_run_or_it_is_said_why_not() -> None:
    others = {found.info for found in blocks(PAGE)} - {"sh book", "sh deployed", "sh elsewhere"}

    assert others <= {"text", "json", "yaml", "sql"}
    assert first_lines("sh deployed") == list(DEPLOYED)
    assert [
        [beginning for beginning in ELSEWHERE if line.startswith(beginning)] for line in first_lines("sh elsewhere")
    ] == [[beginning] for beginning in ELSEWHERE]
    assert len(marked("sh book")) > 10


def test_the_commands_that_need_an_engine_are_run_by_its_tests() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests/deployment").glob("test_*.py"))

    for line, call in DEPLOYED.items():
        assert f"stack.shell({call})" in tests, line


def test_the_chapters_come_in_the_order_in_which_they_are_needed() -> None:
    chapters = [line[3:] for line in read(PAGE).splitlines() if line.startswith("## ")]

    assert chapters[:6] == ["Install", "The first vendor", "Keys and people", "Money", "Watching", "Backups"]
    assert chapters.index("When something is wrong") < chapters.index("Settings")
