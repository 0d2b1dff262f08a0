from prometheus_client import Counter

REDIS_AWAY = Counter("junis_redis_away", "Questions to Redis that were answered within the process instead")
COST_ABOVE_HOLD = Counter("junis_cost_above_hold", "Settlements whose cost was more than what had been held")
VENDOR_DENIED = Counter("junis_vendor_denied", "Calls that the vendor refused because of the operator's account")
