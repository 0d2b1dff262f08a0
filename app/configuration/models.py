from sqlalchemy import BigInteger, CheckConstraint, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base

# The triggers notify this channel of every change.
CONFIGURATIONS_CHANNEL = "junis_configurations"
# The row of what all organizations share: the catalog.
OF_ALL = ""


class ConfigurationVersion(Base):
    """How often something that turns are made with has changed: the agents of an organization, or the catalog.

    Triggers count, whoever changes the tables. A missing row counts as 0.
    """

    __tablename__ = "configuration_versions"
    __table_args__ = (CheckConstraint("version > 0", name="version_positive"),)

    organization_id: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
