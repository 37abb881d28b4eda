"""On paper a page is black on white, whichever theme it was printed from, and its laboratories are stills."""

import pytest


@pytest.fixture(scope="module", params=["light", "dark"])
def printed(request, browser, site):
    context = browser.new_context(viewport={"width": 700, "height": 990}, color_scheme=request.param)
    context.route(lambda url: not url.startswith(site), lambda route: route.abort())
    page = context.new_page()
    page.goto(f"{site}/book/07-parallel-block.html")
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", request.param)
    page.emulate_media(media="print", color_scheme=request.param)
    yield page
    context.close()


def test_text_is_black_on_white(printed):
    colours = printed.evaluate(
        """() => [...document.querySelectorAll('article, article *')]
        .filter(e => e.checkVisibility() && !e.closest('svg'))
        .flatMap(e => { const s = getComputedStyle(e); return [s.color, s.backgroundColor]; })"""
    )
    assert set(colours) == {"rgb(0, 0, 0)", "rgba(0, 0, 0, 0)"}
    assert printed.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    inks = printed.locator("article figure svg").evaluate_all("all => all.map(e => getComputedStyle(e).color)")
    assert set(inks) == {"rgb(0, 0, 0)"}


def test_an_equation_stays_with_its_number(printed):
    kept = printed.locator("article div.math").evaluate_all("all => all.map(e => getComputedStyle(e).breakInside)")
    assert len(kept) > 5
    assert set(kept) == {"avoid"}


def test_a_laboratory_is_a_still_with_the_address_of_the_live_one(printed):
    assert printed.locator(".ode-lab svg").first.is_visible()
    assert printed.locator(".ode-lab input:visible, .ode-lab summary:visible").count() == 0
    address = printed.locator("p.on-paper").first
    assert address.is_visible()
    assert address.inner_text().endswith("/book/07-parallel-block.html#lab-one-step")


def test_nothing_to_click_is_printed(printed):
    assert printed.locator("button:visible, details.folded:visible, .bd-sidebar:visible").count() == 0
    assert printed.locator("article h1:visible").count() == 1
