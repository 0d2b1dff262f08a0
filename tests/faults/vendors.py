import httpx

from tests.vendors_simulator import VendorsSimulator
from tests.waiting import PATIENCE


def order_fault(vendors: VendorsSimulator, model: str, fault: str) -> None:
    """Have the next call of this model go wrong, and no other."""
    rule = {"match": {"model": model}, "fault": fault, "times": 1}
    httpx.post(f"{vendors.url}/_sim/faults", json=[rule], timeout=PATIENCE).raise_for_status()
