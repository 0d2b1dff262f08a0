from prometheus_client import Counter

REDIS_AWAY = Counter("junis_redis_away", "Calls to Redis that failed, so that the process decided on its own")
COST_ABOVE_HOLD = Counter("junis_cost_above_hold", "Settlements whose cost was more than the amount that was held")
OTHER_MODELS_RUN = Counter(
    "junis_other_models_run", "Predictions that ran another model than was asked, and were cancelled"
)
VENDOR_DENIALS = Counter("junis_vendor_denials", "Calls that the vendor refused because of the operator's account")
