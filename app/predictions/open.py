from app.core.outgoing import DIRECT, Outgoing
from app.core.settings import Settings
from app.predictions.protocol import PredictionClient


def open_prediction_client(settings: Settings, outgoing: Outgoing = DIRECT) -> PredictionClient:
    """A client of the vendor that the settings name. It has no connections yet."""
    from app.predictions.replicate import ReplicateClient  # noqa: PLC0415 - it takes 6 MB, and the API never asks

    token = settings.replicate_api_token.get_secret_value()
    return ReplicateClient(settings.replicate_base_url, token, outgoing=outgoing)
