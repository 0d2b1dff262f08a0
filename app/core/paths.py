"""Where the files of the checkout stand that the code reads."""

from pathlib import Path

ALEMBIC_INI = Path(__file__).parents[2] / "alembic.ini"
