from devstack.config import Config
from devstack.credentials import Credentials
from devstack.vendors import Vendors

_TEXT = """Ready. Paste any of these:

  curl -s {base}/v1/chat/completions -H 'X-API-Key: {key}' -H 'Content-Type: application/json' -d '{question}'

  curl -s {base}/content -H 'X-API-Key: {key}'

  curl -s {base}/credits -H 'X-API-Key: {key}'

API key     {key}
Chat model  {chat}
Replicate   {replicate}
Data        {data}   logs in {data}/logs, all of the above in {data}/quickstart.json
Stop        Ctrl-C; start again with the same command, everything is kept

"""
_QUESTION = '{"messages": [{"role": "user", "content": "Draw a lighthouse at dusk"}]}'
_SIMULATED = "simulated: no model is run. To use a real one, set {settings} and start again"


def render_banner(config: Config, vendors: Vendors, credentials: Credentials) -> str:
    """What a user sees once all is up: how to call the server, and where everything is."""
    return _TEXT.format(
        base=f"{config.origin}/api/external",
        key=credentials.api_key,
        question=_QUESTION,
        chat=_chat(config, vendors),
        replicate="real" if vendors.is_replicate_real else _SIMULATED.format(settings="REPLICATE_API_TOKEN"),
        data=config.data_dir,
    )


def _chat(config: Config, vendors: Vendors) -> str:
    if vendors.is_chat_real:
        return f"real: {config.environ['LLM_MODEL']} at {config.environ['LLM_BASE_URL']}"
    return _SIMULATED.format(settings="LLM_BASE_URL, LLM_API_KEY and LLM_MODEL")
