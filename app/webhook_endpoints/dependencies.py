from typing import Annotated

from fastapi import Depends

from app.api_keys.caller import Caller
from app.api_keys.scopes import Scope
from app.audit.actor import Actor, ActorKind
from app.dependencies import SettingsDep
from app.rate_limits.dependencies import Guard
from app.webhook_endpoints.service import Setup


async def get_setup(settings: SettingsDep) -> Setup:
    """What endpoints are made with."""
    return Setup.of(settings)


def actor_of(caller: Caller) -> Actor:
    """Who changes what is changed with a key: whoever made the key."""
    return Actor(ActorKind.USER, caller.user_id)


WebhookManager = Annotated[Caller, Depends(Guard(Scope.WEBHOOKS_MANAGE))]
SetupDep = Annotated[Setup, Depends(get_setup)]
