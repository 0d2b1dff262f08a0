import re
from pathlib import Path

import pytest

from tests.docs.files import ROOT, read

DOCUMENTS = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\[[^\]]+\]\((?!https?:|#|mailto:)(?P<target>[^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_have_existing_targets(document: Path) -> None:
    for match in LINK.finditer(read(str(document))):
        assert (ROOT / document.parent / match["target"]).exists(), match["target"]


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_into_documents_have_existing_headings(document: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", read(str(document))):
        linked = ROOT / document.parent / target if target else ROOT / document
        assert linked.suffix != ".md" or anchor in anchors(linked), f"{target}#{anchor}"


def test_decision_records_are_numbered_and_have_all_parts() -> None:
    records = sorted((ROOT / "docs/adr").glob("*.md"))

    # Numbers are given when a record is begun, and may be left out for a while.
    numbers = [int(record.name[:4]) for record in records]
    assert len(set(numbers)) == len(numbers)
    for record in records:
        headings = re.findall(r"^#+ (.+)$", record.read_text(), re.MULTILINE)
        assert headings[1:] == ["Context", "Decision", "Consequences"], record.name


def test_the_readme_stays_short() -> None:
    assert len(read("README.md").splitlines()) < 150
