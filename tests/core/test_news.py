import asyncio
from time import monotonic

from app.core.news import News
from tests.waiting import PATIENCE


async def test_whoever_waits_hears_of_news_at_once() -> None:
    news = News()
    waiting = asyncio.create_task(news.wait(PATIENCE))
    await asyncio.sleep(0)

    news.announce()

    async with asyncio.timeout(PATIENCE / 2):
        await waiting
        await news.wait(PATIENCE)


async def test_news_that_are_forgotten_are_not_heard_of_again() -> None:
    news = News()
    news.announce()
    news.forget()

    began = monotonic()
    await news.wait(0.05)

    assert monotonic() - began > 0.04


async def test_each_wait_has_its_whole_time_although_the_timer_of_an_earlier_one_rings_meanwhile() -> None:
    news = News()
    first = asyncio.create_task(news.wait(0.05))
    await asyncio.sleep(0.03)
    news.announce()
    await first
    news.forget()

    began = monotonic()
    await news.wait(0.05)

    assert monotonic() - began > 0.04


async def test_a_shorter_wait_is_not_kept_by_the_timer_of_a_longer_one() -> None:
    news = News()
    longer = asyncio.create_task(news.wait(PATIENCE))
    await asyncio.sleep(0)
    longer.cancel()
    await asyncio.gather(longer, return_exceptions=True)

    async with asyncio.timeout(PATIENCE / 2):
        await news.wait(0.01)


async def test_time_that_is_over_is_not_waited_for() -> None:
    async with asyncio.timeout(PATIENCE):
        await News().wait(-1)
