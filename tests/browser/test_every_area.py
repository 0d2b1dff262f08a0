import pkgutil

from tests.browser import cases, pages


def test_the_pages_of_every_area_are_looked_at() -> None:
    listed = {module.name for module in pkgutil.iter_modules(cases.__path__)}

    looked_at = {module.name for module in pkgutil.iter_modules(pages.__path__)}

    assert looked_at == {f"test_{area}_pages" for area in listed}
