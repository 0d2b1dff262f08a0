"""Parameters of a chat request that this server does not know: which of them go to the model, and which are refused.

The server knows the parameters that the request declares. All others go to the model as they came, so that clients can
use what their model's server offers. Refused is what would change something that the server decides: what is run, where
it runs, and how much it can cost. The hold is for one answer of limited length to a prompt of known size, so whatever
asks for more answers, other limits, paid extras or unseen context cannot be let through.

Names are compared without capitals and separators, because some servers read `N` or `maxNewTokens` as well.
"""

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from app.core.json import exact_json

MOST_PARAMETERS = 64
MOST_CHARACTERS = 256 * 1024

# Other characters could be read as a known name by servers that fold them.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_SEPARATORS = re.compile(r"[_.-]")

_REFUSED: Mapping[str, str] = {
    # Several answers are several times the price. `n` is declared, and may be 1.
    "a turn has one answer": (
        "best_of use_beam_search beam_search beam_width beam_size num_beams num_beam_groups num_completions"
        " num_generations num_return_sequences num_candidates candidate_count n_best"
    ),
    # A second limit may win over the one that is held for.
    "the length of the answer is limited by max_tokens or max_completion_tokens": (
        "max_output_tokens max_new_tokens max_gen_tokens max_generated_tokens max_decode_tokens max_total_tokens"
        " max_tokens_to_sample max_tokens_to_generate max_length max_len max_gen_len max_seq_len max_output_length"
        " maximum_tokens num_predict n_predict num_tokens_to_generate"
    ),
    # Another model or another server has another price, and may be nobody's that the operator knows.
    "the operator decides which model runs, and where": (
        "models model_id model_name model_list model_group fallback fallbacks fallback_models default_fallbacks"
        " context_window_fallbacks content_policy_fallbacks route router provider providers provider_options preset"
        " engine deployment deployment_id api_base api_key api_type api_version base_url endpoint custom_llm_provider"
        " user_config credentials vertex_credentials headers extra_headers extra_query num_retries max_retries"
        " mock_response mock_testing_fallbacks"
    ),
    # Their contents would be parameters that are not looked at here.
    "parameters stand in the request itself, not inside another one": (
        "extra_body extra_params extra_args options parameters params optional_params generation_config"
        " sampling_params inference_config model_kwargs model_params litellm_params tool_config"
        " additional_model_request_fields"
    ),
    "what it costs is not known before": (
        "web_search web_search_options enable_search search search_options search_parameters search_settings plugins"
        " server_tools builtin_tools mcp_servers connectors data_sources retrieval code_interpreter grounding"
        " compound_custom"
    ),
    # It may be another organization's, and its size is not known.
    "it refers to something that is stored at the provider": (
        "previous_response_id conversation cached_content container prompt_id file_ids vector_store_ids thread_id"
        " assistant_id"
    ),
    "messages hold the whole conversation": "prompt chat_template",
    "what an image counts as is decided by the operator": (
        "mm_processor_kwargs max_pixels min_pixels vl_high_resolution_images"
    ),
    "the answer is text: audio is not supported": "audio",
    "functions are given as tools": "functions",
    "a function is chosen by tool_choice": "function_call",
}


def _plain(name: str) -> str:
    return _SEPARATORS.sub("", name).lower()


_REASONS: Mapping[str, str] = {_plain(name): reason for reason, names in _REFUSED.items() for name in names.split()}


def check_unknown_parameters(
    body: Mapping[str, Any], known: Collection[str], further: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Check the parameters of a request that are none of the known ones. One that is null counts as not given.

    Args:
        body: the request.
        known: the parameters that it may have.
        further: more names that are refused, each with the reason; without capitals and separators.

    Raises:
        ValidationError: one of them is refused, there are too many or they are too large.
    """
    unknown = {name: value for name, value in body.items() if name not in known and value is not None}
    if not unknown:
        return
    if len(unknown) > MOST_PARAMETERS:
        raise ValueError(f"there are more than {MOST_PARAMETERS} parameters that this server does not know")
    spellings = {_plain(name): name for name in known}
    for name in unknown:
        _check_name(name, spellings, further)
    size = sum(_size(name, value) for name, value in unknown.items())
    if size > MOST_CHARACTERS:
        raise ValueError(f"the parameters that this server does not know have more than {MOST_CHARACTERS} characters")


def _check_name(name: str, spellings: Mapping[str, str], further: Mapping[str, str]) -> None:
    if not _NAME.fullmatch(name):
        _refuse(name[:64], "it is no name of a parameter")
    plain = _plain(name)
    if plain in spellings:
        _refuse(name, f"it is written {spellings[plain]}")
    if reason := further.get(plain) or _REASONS.get(plain):
        _refuse(name, f"it is not accepted: {reason}")


def _size(name: str, value: Any) -> int:
    try:
        return len(exact_json(value))
    except ValueError as error:
        _refuse(name, str(error))


def _refuse(name: str, reason: str) -> NoReturn:
    """Refuse one parameter, so that the error names it as its location."""
    error = PydanticCustomError("parameter_refused", "{reason}", {"reason": reason})
    raise ValidationError.from_exception_data("parameters", [InitErrorDetails(type=error, loc=(name,), input=None)])
