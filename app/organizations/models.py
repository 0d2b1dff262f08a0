from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.crypto import new_id
from app.core.database import Base, Credits, Moment, one_of

# A plan's limits are stored as Postgres's integers.
LARGEST_LIMIT = 2**31 - 1


class SubscriptionStatus(StrEnum):
    """Whether an organization has a subscription. Without one, its keys are refused."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class MembershipRole(StrEnum):
    """What a user is in an organization, the one who may do most first.

    Owners and admins manage it, members use its agents and see their own sessions, viewers look.
    """

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Plan(Base):
    """The limits and monthly credits that an organization subscribes to. Operators define plans."""

    __tablename__ = "plans"
    __table_args__ = (
        CheckConstraint("requests_per_minute > 0", name="requests_per_minute_positive"),
        CheckConstraint("concurrent_requests > 0", name="concurrent_requests_positive"),
        CheckConstraint("concurrent_generations > 0", name="concurrent_generations_positive"),
        CheckConstraint("monthly_credits >= 0", name="monthly_credits_not_negative"),
    )

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    requests_per_minute: Mapped[int]
    concurrent_requests: Mapped[int]
    concurrent_generations: Mapped[int]
    monthly_credits: Mapped[Credits]


class Organization(Base):
    __tablename__ = "organizations"
    __table_args__ = (
        CheckConstraint(one_of("subscription_status", SubscriptionStatus), name="subscription_status_known"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=lambda: new_id("org"))
    name: Mapped[str] = mapped_column(Text, unique=True)
    plan_name: Mapped[str] = mapped_column(ForeignKey("plans.name"))
    subscription_status: Mapped[str] = mapped_column(Text, default=SubscriptionStatus.ACTIVE.value)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())


class User(Base):
    __tablename__ = "users"
    __table_args__ = (Index("uq_users_email", text("lower(email)"), unique=True),)

    id: Mapped[str] = mapped_column(Text, primary_key=True, default=lambda: new_id("user"))
    email: Mapped[str] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    # For signing in to the console. Somebody without one needs a one-time link first.
    password_hash: Mapped[str | None] = mapped_column(Text)
    # Whether the user runs this server: sees all organizations, plans, the catalog and the system.
    is_operator: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())


class Membership(Base):
    """Makes a user a member of an organization, in a role."""

    __tablename__ = "memberships"
    __table_args__ = (CheckConstraint(one_of("role", MembershipRole), name="role_is_known"),)

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(Text)
    # Until the member is reinstated: may not use the console here, and the member's keys are refused.
    suspended_at: Mapped[Moment | None]
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())
