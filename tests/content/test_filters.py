import httpx
import pytest

from tests.content.shelves import Shelf


@pytest.mark.parametrize("content_type", ["image", "video", "audio", "glb", "other"])
async def test_the_list_can_be_filtered_by_type(one_of_each: Shelf, content_type: str) -> None:
    page = await one_of_each.page(content_type=content_type)

    assert [item["content_type"] for item in page["items"]] == [content_type]
    assert page["total"] == 1


@pytest.mark.parametrize(("status", "total"), [("pending", 1), ("processing", 1), ("completed", 5), ("failed", 1)])
async def test_the_list_can_be_filtered_by_status(one_of_each: Shelf, status: str, total: int) -> None:
    page = await one_of_each.page(status=status)

    assert {item["status"] for item in page["items"]} == {status}
    assert page["total"] == total


async def test_both_filters_can_be_combined(one_of_each: Shelf) -> None:
    both = await one_of_each.page(content_type="image", status="completed")
    none = await one_of_each.page(content_type="image", status="failed")

    assert both["total"] == 1
    assert (none["items"], none["total"], none["has_more"]) == ([], 0, False)


async def test_a_filtered_list_continues_on_the_next_page(one_of_each: Shelf) -> None:
    first = await one_of_each.page(status="completed", page_size=4)
    second = await one_of_each.page(status="completed", page_size=4, page=2)

    assert (len(first["items"]), first["has_more"]) == (4, True)
    assert (len(second["items"]), second["has_more"]) == (1, False)
    assert first["total"] == second["total"] == 5


@pytest.mark.parametrize("value", ["unknown", "", "IMAGE", "image ", "image,video", "null", "'", "ß"])
async def test_a_type_that_does_not_exist_is_refused(reader: httpx.AsyncClient, value: str) -> None:
    response = await reader.get("/content", params={"content_type": value})

    assert response.status_code == 400
    assert response.json() == {
        "detail": f"Invalid content_type '{value}'. Must be one of: ['image', 'video', 'audio', 'glb', 'other']"
    }


@pytest.mark.parametrize("value", ["unknown", "", "Completed", "canceled"])
async def test_a_status_that_does_not_exist_is_refused(reader: httpx.AsyncClient, value: str) -> None:
    response = await reader.get("/content", params={"status": value})

    assert response.status_code == 400
    assert response.json() == {
        "detail": f"Invalid status '{value}'. Must be one of: ['pending', 'processing', 'completed', 'failed']"
    }


async def test_parameters_that_do_not_exist_are_ignored(one_of_each: Shelf) -> None:
    assert (await one_of_each.page(sort="asc"))["total"] == len(one_of_each.ids)
