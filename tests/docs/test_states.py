from app.generations.states import diagram
from tests.docs.files import block, read


def test_the_documented_states_are_those_of_the_code() -> None:
    assert block("docs/architecture.md", "mermaid") == f"{diagram()}\n"


def test_the_diagram_is_in_the_section_about_a_generations_life() -> None:
    text = read("docs/architecture.md")
    start = text.index("\n## The life of a generation\n")

    assert "```mermaid\n" in text[start : text.index("\n## ", start + 1)]
