"""The list of modules in docs/architecture.md agrees with the source tree."""

import ast
import re
from collections import Counter
from pathlib import Path

from tests.docs.files import ROOT, read

# Standard names, which the document describes once for all features.
STANDARD = {"router", "dependencies", "service", "repository", "schemas", "models", "errors", "__init__", "__main__"}
SQL_STATEMENT = re.compile(
    r"^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH( RECURSIVE)? \w+|LOCK TABLE) ?", re.MULTILINE
)
SQL_FUNCTIONS = {"select", "insert", "update", "delete", "text"}
ROW = re.compile(r"^\| `(?P<module>[\w/]+\.py)` \| (?P<holds>[^|]+) \| (?P<sql>yes)? *\|$", re.MULTILINE)
KIND = re.compile(r"^- `(?P<name>\w+)\.py`: ", re.MULTILINE)

MODULES = sorted(path.relative_to(ROOT) for top in ("app", "worker") for path in (ROOT / top).rglob("*.py"))


def section() -> str:
    """The section "Modules" of the document."""
    text = read("docs/architecture.md")
    start = text.index("\n## Modules\n")
    return text[start : text.find("\n## ", start + 1)]


def holds_sql(path: Path) -> bool:
    """Whether a string of the module contains a statement, or the module builds one with SQLAlchemy's functions."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    # Leaves out docstrings and other unused strings, which are expression statements.
    unused = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return any(
        (isinstance(node, ast.ImportFrom) and _imports_sql(node))
        or (isinstance(node, ast.Constant) and id(node) not in unused and SQL_STATEMENT.search(str(node.value)))
        for node in ast.walk(tree)
    )


def _imports_sql(node: ast.ImportFrom) -> bool:
    return (node.module or "").startswith("sqlalchemy") and bool(SQL_FUNCTIONS & {alias.name for alias in node.names})


def test_every_module_without_a_standard_name_is_listed_once() -> None:
    listed = [match["module"] for match in ROW.finditer(section())]

    assert listed == sorted(set(listed))
    assert listed == [str(path) for path in MODULES if path.stem not in STANDARD]


def test_every_row_of_the_table_can_be_parsed() -> None:
    rows = [line for line in section().splitlines() if line.startswith("| `")]

    assert len(rows) == len(ROW.findall(section()))


def test_only_repositories_and_marked_modules_hold_sql() -> None:
    marked = {match["module"] for match in ROW.finditer(section()) if match["sql"]}

    holding = {str(path) for path in MODULES if path.stem not in {"repository", "models"} and holds_sql(path)}

    assert holding == marked


def test_modules_with_the_same_name_hold_the_same_kind_of_thing() -> None:
    kinds = [match["name"] for match in KIND.finditer(section())]

    shared = Counter(path.stem for path in MODULES if path.stem not in STANDARD)

    assert sorted(kinds) == sorted(name for name, count in shared.items() if count > 1)
