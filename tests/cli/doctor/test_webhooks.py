"""What `junis doctor` says of the server's public address, and of Replicate's webhooks to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import programs
from tests.chat_server import chat_server
from tests.cli.conftest import Junis
from tests.cli.doctor.place import Line, Patient, set_well
from tests.vendors_simulator import VendorsSimulator, vendors_simulator

SECRET, OTHER = "whsec_b2YgdGhlIGRvY3RvcidzIHRlc3Rz", "whsec_YW5vdGhlciBvbmUgb2YgdGhlbQ=="


@pytest.fixture(scope="module")
def replicate() -> Iterator[VendorsSimulator]:
    """A Replicate that signs with SECRET."""
    with vendors_simulator("--webhook-secret", SECRET) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def api_url(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API that believes SECRET."""
    log = tmp_path_factory.mktemp("api") / "api.log"
    with programs.running_api({**environment, "REPLICATE_WEBHOOK_SECRET": SECRET}, log) as url:
        yield url


@pytest.fixture
def patient(
    environment: dict[str, str],
    api_url: str,
    replicate: VendorsSimulator,
    junis: Junis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Patient:
    url = replicate.replicate_url
    set_well(
        monkeypatch, tmp_path, chat_url="http://127.0.0.1:9", redis_url=environment["REDIS_URL"], replicate_url=url
    )
    made = Patient(junis, monkeypatch)
    made.set(DATABASE_URL=environment["DATABASE_URL"], PUBLIC_URL=api_url, REPLICATE_WEBHOOK_SECRET=SECRET)
    return made


def lines(patient: Patient) -> tuple[Line, Line]:
    report = patient.report("--no-model-call")
    return report["public url"], report["webhooks"]


def test_a_report_arrives_and_is_believed_but_not_one_of_replicates(patient: Patient, api_url: str) -> None:
    public_url, webhooks = lines(patient)

    assert (public_url.state, webhooks.state) == ("ok", "warning")
    assert f"{api_url} (PUBLIC_URL) leads to a server of this kind" in public_url.found
    assert "Replicate sends none to this address" in webhooks.found


def test_a_secret_that_is_not_the_accounts(patient: Patient) -> None:
    patient.set(REPLICATE_WEBHOOK_SECRET=OTHER)

    _, line = lines(patient)

    assert (line.state, line.found) == ("failed", "REPLICATE_WEBHOOK_SECRET is not the account's")


def test_a_secret_that_the_server_does_not_have(patient: Patient) -> None:
    # The first one signs; the account's is among them.
    patient.set(REPLICATE_WEBHOOK_SECRET=f"{OTHER},{SECRET}")

    _, line = lines(patient)

    assert (line.state, line.found) == ("failed", "the server takes a signed report for forged")


def test_a_secret_that_is_none(patient: Patient) -> None:
    patient.set(REPLICATE_WEBHOOK_SECRET="whsec_cut$")

    _, line = lines(patient)

    assert (line.state, line.found) == ("failed", "REPLICATE_WEBHOOK_SECRET is no signing secret")


def test_an_address_that_leads_elsewhere(patient: Patient) -> None:
    with chat_server() as other:
        patient.set(PUBLIC_URL=other.origin)
        public_url, webhooks = lines(patient)

    assert (public_url.state, webhooks.state) == ("failed", "failed")
    assert "leads elsewhere: /healthz answers with status 404" in public_url.found
    assert "is answered with status 404" in webhooks.found
