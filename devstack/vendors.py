"""Which vendor is real and which is simulated, depending on the operator's settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from devstack.config import SettingError

_OF_A_CHAT_SERVER = ("LLM_API_KEY", "LLM_MODEL")


@dataclass(frozen=True)
class Vendors:
    """The vendors of one run."""

    is_chat_real: bool
    is_replicate_real: bool
    environ: Mapping[str, str]  # the settings that point the programs at the simulator; none for a real vendor
    chat_url: str = ""  # where a real chat model is, as it may be shown

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
        SettingError: It is not said where the chat model is.
    """
    # A server on this machine may need no key, and which model it has can be asked.
    is_chat_real = _is_set(settings, "LLM_BASE_URL")
    if not is_chat_real and (present := [name for name in _OF_A_CHAT_SERVER if _is_set(settings, name)]):
        raise SettingError(
            f"LLM_BASE_URL must be set too, since {' and '.join(present)} is: OpenAI's is https://api.openai.com/v1,"
            " Ollama's http://127.0.0.1:11434/v1. Or unset all of them."
        )
    is_replicate_real = _is_set(settings, "REPLICATE_API_TOKEN")
    chat = {} if is_chat_real else _simulated_chat(simulator)
    replicate = {} if is_replicate_real else _simulated_replicate(simulator)
    chat_url = _shown(settings["LLM_BASE_URL"].strip()) if is_chat_real else ""
    return Vendors(is_chat_real, is_replicate_real, {**chat, **replicate}, chat_url)


def _is_set(settings: Mapping[str, str], name: str) -> bool:
    return bool(settings.get(name, "").strip())


def _shown(url: str) -> str:
    """The URL without what may be secret: its user, password and query."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


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
