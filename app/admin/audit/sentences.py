"""What each event of the log of changes says in words. A test holds that every event has its words."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Group(StrEnum):
    """What events are about: what the page's filter offers."""

    KEYS = "keys"
    AGENTS = "agents"
    MEMBERS = "members"
    CREDITS = "credits"
    SIGN_INS = "sign-ins"
    ORGANIZATIONS = "organizations"
    PLANS = "plans"
    MODELS = "models"
    WEBHOOKS = "webhooks"
    RETENTION = "retention"


GROUP_WORDS: Final[Mapping[Group, str]] = {
    Group.KEYS: "API keys",
    Group.AGENTS: "Agents",
    Group.MEMBERS: "Members",
    Group.CREDITS: "Credits",
    Group.SIGN_INS: "Sign-ins",
    Group.ORGANIZATIONS: "Organizations",
    Group.PLANS: "Plans",
    Group.MODELS: "Models and prices",
    Group.WEBHOOKS: "Webhooks",
    Group.RETENTION: "Retention",
}


@dataclass(frozen=True)
class Wording:
    """How one event is told, after the words for who has done it.

    Attributes:
        group: what it is about.
        words: has `{object}` where the object's name stands, and names of values that changed in braces.
        path: the page of the object, below the console's root; None if it has none. It may name `{id}` and `{name}`.
        is_operators: whether only operators have that page.
    """

    group: Group
    words: str
    path: str | None = None
    is_operators: bool = False


_KEY, _AGENT, _MEMBERS, _LEDGER = "keys/{id}", "agents/{name}", "members", "ledger"
_WEBHOOK = "webhooks/{id}"
_ORGANIZATION, _MODEL, _PLAN = "organizations/{id}", "catalog/{id}", "plans/{id}"

WORDINGS: Final[Mapping[str, Wording]] = {
    "key_created": Wording(Group.KEYS, "created API key {object}", _KEY),
    "key_changed": Wording(Group.KEYS, "changed API key {object}", _KEY),
    "key_rotated": Wording(Group.KEYS, "rotated API key {object}", _KEY),
    "key_revoked": Wording(Group.KEYS, "revoked API key {object}", _KEY),
    "agent_created": Wording(Group.AGENTS, "created agent {object}", _AGENT),
    "agent_changed": Wording(Group.AGENTS, "changed agent {object}", _AGENT),
    "agent_imported": Wording(Group.AGENTS, "imported agent {object}", _AGENT),
    "agent_restored": Wording(Group.AGENTS, "restored an earlier version of agent {object}", _AGENT),
    "agent_deleted": Wording(Group.AGENTS, "deleted agent {object}"),
    "agent_found": Wording(Group.AGENTS, "found agent {object} other than its history says", _AGENT),
    "organization_created": Wording(Group.ORGANIZATIONS, "created organization {object}", _ORGANIZATION, True),
    "subscription_active": Wording(
        Group.ORGANIZATIONS, "switched the subscription of {object} on", _ORGANIZATION, True
    ),
    "subscription_inactive": Wording(
        Group.ORGANIZATIONS, "switched the subscription of {object} off", _ORGANIZATION, True
    ),
    "plan_changed": Wording(Group.ORGANIZATIONS, "moved {name} to plan {object}", _PLAN, True),
    "plan_set": Wording(Group.PLANS, "set the limits of plan {object}", _PLAN, True),
    "model_imported": Wording(Group.MODELS, "set model {object} and its price", _MODEL, True),
    "price_added": Wording(Group.MODELS, "added a price of {object}, from {effective_at}", _MODEL, True),
    "model_switched_on": Wording(Group.MODELS, "switched model {object} on", _MODEL, True),
    "model_switched_off": Wording(Group.MODELS, "switched model {object} off", _MODEL, True),
    "credits_granted": Wording(Group.CREDITS, "granted {amount} credits as {object}", _LEDGER),
    "credits_adjusted": Wording(Group.CREDITS, "adjusted credits by {amount} as {object}", _LEDGER),
    "credit_alert_added": Wording(Group.CREDITS, "asked to be warned below {object} credits", "usage"),
    "credit_alert_removed": Wording(Group.CREDITS, "removed the warning below {object} credits", "usage"),
    "user_created": Wording(Group.MEMBERS, "created user {object}"),
    "user_renamed": Wording(Group.SIGN_INS, "changed the name of {object}"),
    "email_changed": Wording(Group.SIGN_INS, "changed the address of {object}"),
    "member_added": Wording(Group.MEMBERS, "added {object} as {role}", _MEMBERS),
    "member_invited": Wording(Group.MEMBERS, "invited {object} as {role}", _MEMBERS),
    "member_role_changed": Wording(Group.MEMBERS, "made {object} {role}", _MEMBERS),
    "member_suspended": Wording(Group.MEMBERS, "suspended {object}", _MEMBERS),
    "member_reinstated": Wording(Group.MEMBERS, "let {object} in again", _MEMBERS),
    "member_removed": Wording(Group.MEMBERS, "removed {object}", _MEMBERS),
    "invitation_withdrawn": Wording(Group.MEMBERS, "withdrew the invitation of {object}", _MEMBERS),
    "invitation_accepted": Wording(Group.MEMBERS, "accepted the invitation as {role}", _MEMBERS),
    "password_set": Wording(Group.SIGN_INS, "set the password of {object}"),
    "operator_made": Wording(Group.SIGN_INS, "made {object} an operator of the server"),
    "operator_unmade": Wording(Group.SIGN_INS, "took the operator's rights from {object}"),
    "one_time_link_made": Wording(Group.SIGN_INS, "made a one-time link for {object}"),
    "sign_in_ended": Wording(Group.SIGN_INS, "ended a sign-in of {object}"),
    "sign_ins_ended": Wording(Group.SIGN_INS, "ended the sign-ins of {object}"),
    "webhook_endpoint_created": Wording(Group.WEBHOOKS, "had events sent to {object}", _WEBHOOK),
    "webhook_endpoint_changed": Wording(Group.WEBHOOKS, "changed webhook endpoint {object}", _WEBHOOK),
    "webhook_endpoint_enabled": Wording(Group.WEBHOOKS, "enabled webhook endpoint {object}", _WEBHOOK),
    "webhook_endpoint_disabled": Wording(Group.WEBHOOKS, "disabled webhook endpoint {object}", _WEBHOOK),
    "webhook_endpoint_deleted": Wording(Group.WEBHOOKS, "deleted webhook endpoint {object}"),
    "webhook_secret_rotated": Wording(Group.WEBHOOKS, "rotated the secret of webhook endpoint {object}", _WEBHOOK),
    "data_pruned": Wording(
        Group.RETENTION, "removed {removed} rows of {object} that were too old to be kept", "system", True
    ),
}


def wording_of(event: str) -> Wording:
    """The wording of an event. An event that this version does not know gets its own name as the wording."""
    return WORDINGS.get(event) or Wording(Group.ORGANIZATIONS, f"{event.replace('_', ' ')} {{object}}")


def events_of(group: str) -> list[str] | None:
    """The events of a group, or the one event of that name; None for any other text."""
    if group in set(Group):
        return [event for event, wording in WORDINGS.items() if wording.group == group]
    return [group] if group in WORDINGS else None
