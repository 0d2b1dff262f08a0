"""What `junis doctor` says of SECRET_KEY, while it is changed and otherwise."""

import pytest

from tests.cli.doctor.place import Patient

CHECK = "secret key"


def test_a_key_that_is_not_set_is_told(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY")

    line = patient.report("--no-model-call")[CHECK]

    assert line.state == "warning"
    assert "not set" in line.found


def test_after_a_change_the_other_key_can_be_dropped(patient: Patient) -> None:
    patient.set(SECRET_KEY_ACCEPTED="the-key-from-before")

    line = patient.report("--no-model-call")[CHECK]

    assert line.state == "ok"
    assert "it can be dropped" in line.found


def test_the_same_key_twice_is_no_change(patient: Patient) -> None:
    patient.set(SECRET_KEY_ACCEPTED="the-secret-key-of-the-tests")

    assert patient.report("--no-model-call")[CHECK].state == "warning"
