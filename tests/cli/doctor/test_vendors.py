"""What `junis doctor` says of the vendors."""

from tests.chat_server import ChatServer
from tests.cli.doctor.place import Patient


def test_a_wrong_key_of_the_chat_model(patient: Patient, server: ChatServer) -> None:
    patient.set(LLM_API_KEY="wrong-key-of-the-tests")

    called, uncalled = patient.report()["chat model"], patient.report("--no-model-call")["chat model"]

    assert called.state == uncalled.state == "failed"
    assert called.found.startswith(f"{server.base_url} refuses the key")
    assert called.mend == uncalled.mend == "correct LLM_API_KEY"


def test_a_model_that_is_not_there_and_has_no_price(patient: Patient, server: ChatServer) -> None:
    patient.set(LLM_MODEL="lama")

    called, uncalled = patient.report(), patient.report("--no-model-call")

    assert f"{server.base_url} has no model lama" in called["chat model"].found
    assert "set LLM_MODEL to one of its models: llama" in called["chat model"].mend
    assert f"{server.base_url} does not list lama" in uncalled["chat model"].found
    assert "LLM_MODEL should probably be one of llama" in uncalled["chat model"].mend
    for line in (called["chat model"], uncalled["chat model"]):
        assert line.state == "failed"
        assert "lama has no price" in line.found
        assert "junis catalog price lama --prompt … --completion … (0 if it is free)" in line.mend


def test_a_model_that_refuses_tools(patient: Patient, server: ChatServer) -> None:
    server.takes_tools = False

    line = patient.report()["chat model"]

    assert line.state == "warning"
    assert "llama does not support tools" in line.found


def test_an_upstream_of_which_nothing_is_known(patient: Patient, server: ChatServer) -> None:
    wrong = f'{{"base_url": "{server.origin}", "api_key": "the-right-key-of-the-tests"}}'
    right = f'{{"base_url": "{server.base_url}", "api_key": "the-right-key-of-the-tests"}}'
    patient.set(LLM_UPSTREAMS=f'{{"one": {right}, "other": {wrong}}}')
    doubtful = patient.report("--no-model-call")["upstreams"]
    patient.set(LLM_UPSTREAMS=f'{{"one": {right}}}')
    well = patient.report("--no-model-call")["upstreams"]

    assert (doubtful.state, well.state) == ("warning", "ok")
    assert "LLM_UPSTREAMS.other.base_url" in doubtful.mend


def test_replicate_refuses_the_token_or_is_not_there(patient: Patient) -> None:
    patient.set(REPLICATE_API_TOKEN="revoked")
    refused = patient.report("--no-model-call")["replicate"]
    patient.set(REPLICATE_BASE_URL="http://127.0.0.1:9")
    away = patient.report("--no-model-call")["replicate"]
    patient.monkeypatch.delenv("REPLICATE_API_TOKEN")
    unset = patient.report("--no-model-call")["replicate"]

    assert (refused.state, away.state, unset.state) == ("failed", "failed", "not checked")
    assert "Replicate refuses the token" in refused.found
    assert "correct REPLICATE_BASE_URL" in away.mend
