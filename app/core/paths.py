"""The paths of files outside the packages that the code reads."""

from pathlib import Path

ALEMBIC_INI = Path(__file__).parents[2] / "alembic.ini"
MIGRATIONS = Path(__file__).parents[2] / "migrations" / "versions"
