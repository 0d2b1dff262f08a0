from app.admin.sign_in.cookies import SESSION_COOKIE
from tests.admin.conftest import PASSWORD, Browser


async def test_the_right_password_opens_the_page_that_was_asked_for(
    anonymous_browser: Browser, owner_browser: Browser
) -> None:
    asked = await anonymous_browser.get("/account?x=1")

    page = await anonymous_browser.get(asked.headers["location"].removeprefix("/admin"))
    entered = await anonymous_browser.sign_in(owner_browser.email, PASSWORD, next="/admin/account?x=1")

    assert asked.status_code == 303
    assert "next=" in asked.headers["location"]
    assert page.status_code == 200
    assert (entered.status_code, entered.headers["location"]) == (303, "/admin/account?x=1")


async def test_a_wrong_password_is_refused_and_what_was_typed_is_kept(
    anonymous_browser: Browser, owner_browser: Browser
) -> None:
    refused = await anonymous_browser.sign_in(owner_browser.email, "wrong")

    assert refused.status_code == 422
    assert "E-mail and password do not match. 4 tries left" in refused.text
    assert owner_browser.email in refused.text
    assert "wrong" not in refused.text
    assert SESSION_COOKIE not in anonymous_browser.cookies
