import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.orm import Mapped, mapped_column

from app.core.database import Base, Moment


class InputFile(Base):
    """A file that a client has sent for its generations to use. It goes when none of them can need it any more."""

    __tablename__ = "input_files"
    __table_args__ = (
        CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="sha256_is_hex"),
        Index("ix_input_files_created", "created_at"),
        Index("ix_input_files_request_key", "request_key", postgresql_where=text("request_key IS NOT NULL")),
    )

    # Random: whoever knows it may read the file.
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    # Identifies the request if it has an Idempotency-Key: repeated after a crash, it uses the same files.
    request_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    media_type: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    data: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    generation_ids: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(UUID(as_uuid=True)))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
