import os
import subprocess
import sys
from pathlib import Path

from tests.storage import peak_memory, rclone
from tests.storage.bytestreams import MB
from tests.storage.servers import S3Server


def peak_growth(**settings: str) -> int:
    """By how many bytes the program's peak memory grew for an object of 300 MB."""
    program = [sys.executable, "-m", peak_memory.__name__]
    root = Path(__file__).parents[2]
    ended = subprocess.run(program, env=os.environ | settings, cwd=root, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)


def test_the_local_store_needs_little_memory_for_a_large_object(tmp_path: Path) -> None:
    growth = peak_growth(STORAGE="local", LOCAL_STORAGE_DIR=str(tmp_path))

    assert 0 < growth < 16 * MB
    (tmp_path / "large.bin").unlink()


def test_the_s3_store_needs_little_memory_for_a_large_object(rclone_s3: S3Server) -> None:
    bucket = rclone_s3.new_bucket()

    growth = peak_growth(
        STORAGE="s3",
        S3_ENDPOINT_URL=rclone_s3.url,
        S3_REGION="us-east-1",
        S3_BUCKET=bucket,
        S3_ACCESS_KEY_ID=rclone.ACCESS_KEY_ID,
        S3_SECRET_ACCESS_KEY=rclone.SECRET_ACCESS_KEY,
    )

    assert 8 * MB < growth < 64 * MB
    rclone_s3.client.delete_object(Bucket=bucket, Key="large.bin")
