"""What `junis doctor` says of a bucket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Junis
from tests.cli.doctor.place import Line, Patient, set_well
from tests.storage.keys import OWNER
from tests.storage.servers import S3Server, paths, rclone_server

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone_server(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.new_bucket()


@pytest.fixture
def patient(s3: S3Server, bucket: str, junis: Junis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
    """A bucket in which all is well; nobody listens anywhere else."""
    set_well(monkeypatch, tmp_path, chat_url=NOBODY, redis_url="redis://127.0.0.1:9", replicate_url=NOBODY)
    monkeypatch.setenv("DATABASE_URL", "postgresql://junis:junis@127.0.0.1:9/junis")
    made = Patient(junis, monkeypatch)
    made.set(
        STORAGE="s3",
        S3_ENDPOINT_URL=s3.url,
        S3_BUCKET=bucket,
        S3_ACCESS_KEY_ID=OWNER.access_key_id,
        S3_SECRET_ACCESS_KEY=OWNER.secret_access_key,
    )
    return made


def store(patient: Patient, **settings: Any) -> Line:
    patient.set(**settings)
    return patient.report("--no-model-call")["store"]


def test_a_bucket_in_which_all_is_well_is_left_as_it_was(patient: Patient, s3: S3Server, bucket: str) -> None:
    line = store(patient, S3_PRESIGN_ENDPOINT_URL=s3.url)

    assert (line.state, line.found) == ("ok", f"the bucket {bucket} keeps, returns and removes a file")
    assert paths(s3.client, bucket) == []


def test_a_missing_bucket(patient: Patient) -> None:
    line = store(patient, S3_BUCKET="no-such-bucket")

    assert line.state == "failed"
    assert "has no bucket S3_BUCKET" in line.found
    assert line.mend == "create the bucket, or correct S3_BUCKET"


def test_a_wrong_key(patient: Patient) -> None:
    line = store(patient, S3_SECRET_ACCESS_KEY="wrong-key-that-leaks")

    assert line.state == "failed"
    assert "refuses S3_ACCESS_KEY_ID or S3_SECRET_ACCESS_KEY" in line.found
    assert "leaks" not in line.found + line.mend


def test_addresses_for_clients_that_lead_elsewhere(patient: Patient, s3: S3Server) -> None:
    public = store(patient, S3_PUBLIC_BASE_URL=f"{s3.url}/another-bucket")
    patient.monkeypatch.delenv("S3_PUBLIC_BASE_URL")
    presigned = store(patient, S3_PRESIGN_ENDPOINT_URL=NOBODY)

    assert public.state == presigned.state == "failed"
    assert "S3_PUBLIC_BASE_URL does not lead to its files: status " in public.found
    assert "S3_PRESIGN_ENDPOINT_URL does not lead to its files" in presigned.found
    # A signed URL is a key to the file.
    assert "Signature" not in presigned.found
