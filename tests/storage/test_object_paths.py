import pytest

from app.storage.object_paths import check_path


@pytest.mark.parametrize("path", ["generation/image/550e8400_20251206_103000.png", "a", "日本/ä b+c.png", "a" * 1024])
def test_a_relative_path_of_plain_names_is_accepted(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/etc/passwd", "..", "../outside", "a/../../outside", "a/..", "./a", "a//b", "a/", "a/."),
        *(".incoming/x.part", "a/.hidden", "a\x00b", "a\nb", "a\\b", "..\\a", "\ud800", "a" * 1025, "ä" * 513),
    ],
)
def test_every_other_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_path(path)
