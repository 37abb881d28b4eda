"""The way around the book: drawers, keys, tab stops, and pages that need no script, on phone, tablet and laptop."""

import re
from collections import Counter

import pytest

SIZES = {"phone": (390, 844), "tablet": (820, 1180), "laptop": (1280, 900)}
CHAPTER = "book/07-parallel-block"


@pytest.fixture
def opened(browser, site):
    """Open a page at a size; what is not the book's own is not loaded, but for MathJax where it is asked for."""
    contexts = []

    def open_page(name, size="laptop", theme="light", scripts=True, media=None):
        width, height = SIZES[size]
        touch = size != "laptop"
        context = browser.new_context(
            viewport={"width": width, "height": height},
            has_touch=touch,
            is_mobile=touch,
            color_scheme=theme,
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        context.set_default_timeout(120_000)
        contexts.append(context)
        context.route(lambda url: not url.startswith(site), lambda route: route.abort())
        page = context.new_page()
        page.goto(f"{site}/{name}.html")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("size", ["phone", "tablet"])
@pytest.mark.parametrize(("side", "outside"), [("primary", -5), ("secondary", 5)])
def test_both_drawers_open_and_close(opened, size, side, outside):
    page = opened(CHAPTER, size)
    button, drawer = page.locator(f".{side}-toggle:visible"), page.locator(f"#pst-{side}-sidebar-modal")
    assert not drawer.is_visible()
    button.tap()
    assert drawer.is_visible()
    assert drawer.locator("a:visible").count() > 5
    width, height = SIZES[size]
    page.touchscreen.tap(outside % width, height / 2)
    drawer.wait_for(state="hidden")
    button.focus()
    page.keyboard.press("Enter")
    assert drawer.is_visible()
    page.keyboard.press("Escape")
    drawer.wait_for(state="hidden")
    page.wait_for_function(f"document.activeElement.matches('.{side}-toggle')")


def test_the_hamburger_hides_and_shows_the_sidebar_of_a_laptop(opened):
    page = opened(CHAPTER)
    sidebar = page.locator("#pst-primary-sidebar")
    page.locator(".primary-toggle:visible").click()
    sidebar.wait_for(state="hidden")
    page.locator(".primary-toggle:visible").click()
    sidebar.wait_for(state="visible")


def test_the_sidebar_begins_at_its_top(opened):
    page = opened("book/13-language")
    page.wait_for_load_state("load")
    assert page.evaluate("document.querySelector('.bd-sidebar-primary').scrollTop") == 0


def test_the_laboratory_is_a_few_tab_stops_away(opened):
    page = opened("book/13-language")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Skip to the laboratory":
            page.keyboard.press("Enter")
            page.locator(".ode-explore.is-live").wait_for()  # it comes when it is in view, before a hand can go on
        if page.evaluate("!!document.activeElement.closest('.ode-lab input, .ode-explore :is(button, input, select)')"):
            return
    pytest.fail("thirty tab stops do not reach the laboratory")


def test_arrow_keys_turn_the_chapters(opened, site, page_names):
    page = opened(CHAPTER)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"{site}/{page_names[page_names.index(CHAPTER) + 1]}.html")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(f"{site}/{CHAPTER}.html")
    page.locator(".ode-explore").scroll_into_view_if_needed()
    slider = page.locator(".ode-explore input[type=range]").first
    slider.focus()
    before = slider.input_value()
    slider.press("ArrowRight")
    assert slider.input_value() != before
    page.locator("details.solution > summary").first.press("ArrowRight")
    assert page.url.startswith(f"{site}/{CHAPTER}.html")


def test_a_drawer_gives_way_to_the_section_that_is_chosen_in_it(opened):
    page = opened(CHAPTER, "phone")
    page.locator(".secondary-toggle:visible").tap()
    drawer = page.locator("#pst-secondary-sidebar-modal")
    link = drawer.locator("a[href^='#']:visible").nth(2)
    target = link.get_attribute("href")
    link.tap()
    drawer.wait_for(state="hidden")
    assert page.url.endswith(target)
    page.wait_for_function("id => document.querySelector(id).getBoundingClientRect().top < innerHeight / 2", arg=target)
    assert page.evaluate("id => document.querySelector(id).getBoundingClientRect().bottom > 0", target)


def test_a_preview_opens_at_the_focus_and_closes_with_escape(opened):
    page = opened(CHAPTER)
    link, preview = page.locator("article a.internal[href^='#equation-']").first, page.locator("#preview")
    number = link.inner_text()
    link.focus()
    preview.wait_for(state="visible")
    assert number in preview.inner_text()
    page.keyboard.press("Escape")
    preview.wait_for(state="hidden")
    assert link.evaluate("e => e === document.activeElement")


@pytest.mark.parametrize("kind", ["term", "citation"])
def test_a_term_and_a_work_of_another_page_are_previewed(opened, kind):
    page = opened("book/index")
    links = {"term": "a[href*='glossary.html#term-']", "citation": "a[href*='bibliography.html#']"}
    page.locator(f"article {links[kind]}").first.focus()
    page.locator("#preview").wait_for(state="visible")
    assert len(page.locator("#preview").inner_text()) > 40
    page.keyboard.press("Escape")
    page.locator("#preview").wait_for(state="hidden")


def test_a_tick_opens_by_keyboard_and_says_how_often_it_was_measured(opened):
    page = opened(CHAPTER)
    tick = page.locator("button.tick").first
    tick.focus()
    page.keyboard.press("Enter")
    note = page.locator(f"#{tick.get_attribute('popovertarget')}")
    assert note.is_visible()
    assert re.search(
        r"Measured (over \d+ seeds|once, when this page was built, with random seed \d+)", note.inner_text()
    )
    assert "claim(" in note.inner_text()
    page.keyboard.press("Escape")
    note.wait_for(state="hidden")
    page.wait_for_function("document.activeElement.matches('button.tick')")


def test_no_id_stands_twice(html, page_name):
    ids = re.findall(r'<[^>]*\sid="([^"]*)"', (html / f"{page_name}.html").read_text())
    assert [name for name, count in Counter(ids).items() if count > 1] == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_page_is_readable_without_scripts(opened, theme):
    page = opened(CHAPTER, theme=theme, scripts=False)
    page.mouse.wheel(0, 1500)
    styles = page.locator(".bd-header-article").evaluate("e => getComputedStyle(e).backgroundColor")
    assert re.fullmatch(r"rgb\(.*\)", styles), "text runs under a transparent header"
    bar = [int(part) for part in re.findall(r"\d+", styles)]
    assert (sum(bar) < 200) == (theme == "dark")
    text = page.locator("article p").nth(3).evaluate("e => getComputedStyle(e).color")
    assert abs(sum(map(int, re.findall(r"\d+", text)[:3])) - sum(bar)) > 400
    solution = page.locator("details.solution").first
    solution.locator("summary").click()
    assert solution.locator("pre").first.is_visible()
