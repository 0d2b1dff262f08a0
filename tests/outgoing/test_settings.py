"""The operator's settings reach everything that a process opens."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from app.core.settings import load_settings
from app.resources import open_resources
from tests.outgoing import ways
from tests.outgoing.conftest import OwnAuthority
from tests.outgoing.corporate_proxy import corporate_proxy, tls_front
from worker.steps.open import open_steps


async def test_what_a_process_opens_asks_through_the_proxy_and_trusts_the_authority(
    ports: Mapping[str, int], authority: OwnAuthority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with (
        corporate_proxy() as proxy,
        tls_front(ports["models"], authority.server) as simulator,
        tls_front(ports["S3"], authority.server) as objects,
    ):
        origin, store = f"https://vendors.company.test:{simulator}", f"https://objects.company.test:{objects}"
        settings = {
            **ways.replicate_settings(origin),
            **ways.store_settings(store),
            "output_hosts": f"vendors.company.test:{simulator}",
            "https_proxy": proxy.url,
            "ca_bundle": str(authority.file),
        }
        monkeypatch.chdir(tmp_path)
        for name, value in settings.items():
            monkeypatch.setenv(name.upper(), value)

        async with open_resources(load_settings()) as resources, open_steps(resources) as steps:
            await ways.call_model(resources.chat_models, origin)
            await ways.list_predictions(resources.predictions)
            await ways.fetch(steps.copy.copier.downloader, f"{origin}/_sim/health")
            await resources.store.probe()

    assert set(proxy.asked) == {
        f"CONNECT vendors.company.test:{simulator}",
        f"CONNECT objects.company.test:{objects}",
    }
    assert len(proxy.asked) >= 4
