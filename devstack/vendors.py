"""Which vendor is real and which is simulated, depending on the operator's settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from devstack.config import SettingError

_CHAT_SETTINGS = ("LLM_BASE_URL", "LLM_API_KEY", "LLM_MODEL")


@dataclass(frozen=True)
class Vendors:
    """The vendors of one run."""

    is_chat_real: bool
    is_replicate_real: bool
    environ: Mapping[str, str]  # the settings that point the programs at the simulator; none for a real vendor

    @property
    def needs_simulator(self) -> bool:
        """Whether any vendor is simulated."""
        return not (self.is_chat_real and self.is_replicate_real)


def choose_vendors(settings: Mapping[str, str], simulator: str) -> Vendors:
    """Take each vendor that the operator gave credentials for, and the simulator for the others.

    Args:
        settings: The operator's settings; an empty one counts as absent.
        simulator: The simulator's host and port.

    Raises:
        SettingError: Some of the chat settings are set and others are not.
    """
    missing = [name for name in _CHAT_SETTINGS if not settings.get(name)]
    if 0 < len(missing) < len(_CHAT_SETTINGS):
        present = ", ".join(name for name in _CHAT_SETTINGS if name not in missing)
        raise SettingError(f"{' and '.join(missing)} must be set too, since {present} is. Or unset all three.")
    is_chat_real = not missing
    is_replicate_real = bool(settings.get("REPLICATE_API_TOKEN"))
    chat = {} if is_chat_real else _simulated_chat(simulator)
    replicate = {} if is_replicate_real else _simulated_replicate(simulator)
    return Vendors(is_chat_real, is_replicate_real, {**chat, **replicate})


def _simulated_chat(simulator: str) -> dict[str, str]:
    return {
        "LLM_BASE_URL": f"http://{simulator}/openai/v1",
        "LLM_API_KEY": "simulated",
        "LLM_MODEL": "sim-chat",
    }


def _simulated_replicate(simulator: str) -> dict[str, str]:
    return {
        "REPLICATE_API_TOKEN": "simulated",
        "REPLICATE_BASE_URL": f"http://{simulator}/replicate",
        "OUTPUT_HOSTS": simulator,
    }
