from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from app.agents.runtime.model_calls import ModelRoute
from app.catalog.service import PricedModel
from app.chat_models.protocol import Upstream
from app.core.errors import ProviderError
from app.core.settings import Settings


@dataclass(frozen=True)
class Upstreams:
    """The operator's chat model servers: the default one, and others by the names that catalog entries use."""

    default: Upstream
    named: Mapping[str, Upstream]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The servers in the settings."""
        named = {
            name: Upstream(upstream.base_url, upstream.api_key.get_secret_value(), upstream.output_limit_name)
            for name, upstream in settings.llm_upstreams.items()
        }
        key = settings.llm_api_key.get_secret_value()
        return cls(Upstream(settings.llm_base_url, key, settings.llm_output_limit_name), named)

    def of_model(self, model: PricedModel) -> Upstream:
        """The server that has a model.

        Raises:
            ProviderError: its catalog entry names an upstream that is not configured.
        """
        upstream = self.default if model.upstream is None else self.named.get(model.upstream)
        if upstream is None:
            raise ProviderError(f"The model {model.name} names an upstream that is not configured: {model.upstream}")
        return upstream

    def route(self, model: PricedModel, image_tokens: int) -> ModelRoute:
        """Where a chat model runs. `image_tokens`: what an image counts as if the catalog does not say it.

        Raises:
            ProviderError: its catalog entry names an upstream that is not configured.
        """
        return ModelRoute(
            self.of_model(model),
            model.upstream_model or model.name,
            model.max_output_tokens,
            model.context_tokens,
            image_tokens if model.image_tokens is None else model.image_tokens,
            model.file_tokens or 0,
        )
