"""The explorables as they live in the pages: by key, by hand, by address, in words, and as stills."""

import re

import pytest

from tests.book.conftest import opening
from tests.book.test_browser import sent

PAGES = {
    "flock": "book/06-particles",
    "race": "book/07-parallel-block",
    "robot": "book/08-splitting",
    "swap": "book/10-better-integrators",
    "writer": "book/13-language",
}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module", params=PAGES)
def lab(request, browser, site):
    with opening(browser, site) as open_page:
        page = open_page(f"{PAGES[request.param]}.html", live=request.param, **PHONE)
        yield page, request.param, page.locator(f"section[data-explore={request.param}]")


def words(section):
    return section.locator(".explore-text").inner_text()


def in_address(page, name, pattern):
    """Wait until the address says of a part of the state what the pattern says."""
    says = "([name, pattern]) => RegExp(pattern).test(new URLSearchParams(location.hash.slice(1)).get(name) ?? '')"
    page.wait_for_function(says, arg=[name, pattern])


def test_it_says_in_words_what_it_shows_and_asks_first(lab):
    page, _, section = lab
    assert len(words(section)) > 20
    assert section.locator(".explore-guess").inner_text().startswith("Guess first.")
    assert section.locator(".explore-text").get_attribute("aria-live") == "polite"
    assert page.url.endswith(".html")  # the address is left alone until somebody plays
    assert page.faults == []


def test_everything_is_large_enough_for_a_finger_and_within_a_phone(lab):
    page, _, section = lab
    small = """all => all.filter(e => e.checkVisibility()).map(e => [e.getBoundingClientRect(), e])
        .filter(([box]) => box.width < 24 || box.height < 24).map(([box, e]) => e.outerHTML.slice(0, 80) + box.width)"""
    assert section.locator(".explore-live :is(button, select, input, a, summary)").evaluate_all(small) == []
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390


def test_the_tab_key_reaches_everything(lab):
    page, _, section = lab
    focusable = ":is(button, select, input, textarea, a, [tabindex='0']):not([tabindex='-1']):visible"
    page.wait_for_load_state("networkidle")  # a network that comes late brings controls with it
    section.locator(".ode-lab-title").evaluate("e => { e.tabIndex = -1; e.focus(); }")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
    wanted = section.locator(f".explore-live {focusable}").count()
    live = """(e, reached) => { const all = document.querySelectorAll('*');
        return reached.filter(i => e.querySelector('.explore-live').contains(all[i])).length; }"""
    assert section.evaluate(live, list(reached)) == wanted


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(lab, cdn, theme):
    page, name, _ = lab
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=cdn / "axe-core/axe.min.js")
    look = """([where, tastes]) => axe.run(where, tastes)
        .then(({ violations }) => violations.map(v => v.id + v.nodes[0].html))"""
    tastes = RULES if theme == "light" else ["color-contrast"]
    assert page.evaluate(look, [f"section[data-explore={name}]", {"runOnly": tastes}]) == []
    page.evaluate("document.documentElement.dataset.theme = 'light'")


def test_the_flock_by_keyboard(opened):
    page = opened("book/06-particles.html", live="flock")
    section = page.locator("section[data-explore=flock]")
    section.locator(".explore-guess button").nth(1).press("Enter")
    page.wait_for_function("document.querySelector('.explore-text').textContent.includes('You guessed')")
    in_address(page, "t", "^25$")
    before = words(section)
    page.get_by_label("inverse temperature β").press("ArrowRight")
    in_address(page, "beta", "^12$")
    assert words(section) != before
    token = section.locator(".explore-handle")
    token.press("PageDown")
    section.get_by_role("button", name=re.compile("^Token 2 of 64")).wait_for()
    place = token.bounding_box()
    token.press("Shift+ArrowLeft")
    moved = "x => document.querySelector('.explore-handle').getBoundingClientRect().x < x"
    page.wait_for_function(moved, arg=place["x"])
    page.get_by_role("button", name="Ten times as deep").press("Enter")
    page.wait_for_function("!/At t = 0 /.test(document.querySelector('.explore-text').textContent)")
    page.get_by_label("an MLP acts as well").press("Space")
    in_address(page, "mlp", "^1$")
    section.get_by_role("button", name="Reset").press("Enter")
    assert page.url.endswith(".html")
    assert "attention. At t = 0 " in words(section)
    assert page.faults == []


def test_the_race_by_keyboard_and_by_hand(opened):
    page = opened("book/07-parallel-block.html", live="race")
    section = page.locator("section[data-explore=race]")
    guess = section.get_by_role("button", name=re.compile("guess for the parallel layer"))
    place = guess.get_attribute("aria-label")
    guess.press("Shift+ArrowDown")
    moved = "text => ![...document.querySelectorAll('.explore-handle')].some(e => e.ariaLabel === text)"
    page.wait_for_function(moved, arg=place)
    section.get_by_role("button", name="These are my guesses").press("Enter")
    assert "The usual layer ends nearer" in words(section)
    assert "Your marks were off by" in words(section)
    page.get_by_role("combobox", name="the two terms").select_option("A pushes, M holds")
    assert "The parallel layer ends nearer" in words(section)
    in_address(page, "pair", "^A pushes, M holds$")
    section.get_by_role("button", name=re.compile("^Start")).press("ArrowLeft")
    in_address(page, "start", "^1[.][01][0-9]*,0.1$")
    section.get_by_role("button", name="Race at all lengths").press("Enter")
    assert re.search(r"factors of 2\.0 \(parallel layer\), 2\.0 \(usual layer\), 1[56] \(RK4\)", words(section))
    tip = section.get_by_role("button", name=re.compile("^Arrow 3 of A")).bounding_box()
    x, y = tip["x"] + tip["width"] / 2, tip["y"] + tip["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 20, steps=3)
    page.mouse.up()
    section.locator(".explore-text", has_text="Your own arrows").wait_for()
    in_address(page, "a", "^([-0-9.]+,){5}[-0-9.]+$")
    assert page.faults == []


def test_the_robot_by_keyboard(opened):
    page = opened("book/08-splitting.html", live="robot")
    section = page.locator("section[data-explore=robot]")
    section.locator(".explore-guess button").nth(2).press("Enter")
    assert "You guessed it." in words(section)
    section.get_by_role("button", name="Replay").press("Enter")
    assert "It is 0.17 from the goal" in words(section)
    page.get_by_role("combobox", name="moves").select_option(index=1)
    section.get_by_role("button", name="Replay").press("Enter")
    assert "There, in 5 moves" in words(section)
    section.get_by_role("button", name="Back to the start").press("Enter")
    floor = section.get_by_role("application")
    floor.press("ArrowUp")
    assert re.search(r"looks east.*after 1 move,", words(section))
    floor.press("ArrowLeft")
    assert "2 moves" in words(section)
    in_address(page, "drive", "^f[0-9.]+l[0-9.]+$")
    assert page.url.split("#")[0].endswith("book/08-splitting.html")  # the arrow keys have not turned the page
    assert page.faults == []


def test_the_swap_by_keyboard_says_what_its_table_says(opened):
    page = opened("book/10-better-integrators.html", live="swap")
    section = page.locator("section[data-explore=swap]")
    section.locator(".explore-guess button").nth(1).press("Enter")
    section.locator(".explore-text", has_text="In the five networks").wait_for()
    table = [row.locator("td").all_text_contents() for row in section.locator("tbody tr").all()]
    (row,) = [cells for cells in table if cells[0] == "Euler, h = 1"]
    own, accurately, changed = row[1:]
    assert words(section).startswith("You said about 15. Trained with Euler, h = 1, solved by RK4 with h = 1/4: ")
    assert f"In the five networks {changed} change, and {accurately} are right instead of {own}." in words(section)
    garment = section.locator(".swap-garments [aria-selected=true]")
    garment.press("ArrowRight")
    in_address(page, "garment", "^25$")
    assert garment.evaluate("e => e === document.activeElement && e.ariaLabel.startsWith('Coat: ')")
    section.get_by_role("button", name="step size 1/4").press("ArrowRight")
    in_address(page, "steps", "^6$")
    page.get_by_role("combobox", name="Networks trained with").select_option("euler-half")
    section.locator(".explore-text", has_text="Trained with Euler, h = 1/2, and solved so").wait_for()
    section.get_by_role("button", name="Reset").press("Enter")
    assert section.locator(".explore-guess").inner_text().startswith("Guess first.")
    assert page.faults == []


def test_the_writer_by_keyboard(opened):
    page = opened("book/13-language.html", live="writer")
    section = page.locator("section[data-explore=writer]")
    section.locator(".explore-text", has_text="nats").wait_for()
    section.locator(".explore-guess button").nth(1).press("Enter")
    section.locator(".explore-text", has_text="You guessed it. At the 11 letters before the change no guess").wait_for()
    shades = "all => all.map(e => e.style.getPropertyValue('--moved') !== '')"
    assert section.locator(".writer-shades span").evaluate_all(shades) == 11 * [False] + 21 * [True]
    text = page.get_by_label("The text; change any letter")
    text.press("End")
    text.press_sequentially("€!")
    section.locator(".explore-text", has_text="At the 32 letters before the change").wait_for()
    assert text.input_value() == "You saw my faster wink and laugh!"
    section.get_by_role("button", name="Write").press("Enter")
    page.wait_for_function("document.querySelector('.writer-page textarea').value.length > 40")
    section.get_by_role("button", name="Stop").press("Enter")
    section.locator(".explore-text", has_text="It has written: “").wait_for()
    page.get_by_role("combobox", name="solved by").select_option("rk4")
    section.locator(".explore-text", has_text="By RK4 with h = 1 ").wait_for()
    in_address(page, "rule", "^rk4$")
    in_address(page, "text", "^You saw my faster wink and laugh![^]{8}")
    section.get_by_role("button", name="Reset").press("Enter")
    assert text.input_value() == "You saw my master wink and laugh"
    assert page.faults == []


@pytest.mark.parametrize(
    ("address", "name", "says"),
    [
        ("06-particles.html#lab=flock&beta=24&masked=1&pre=1", "flock", "β = 24, pre-norm, attention, future masked"),
        ("07-parallel-block.html#lab=race&pair=A+pushes%2C+M+holds&layers=4", "race", "M holds, 4 layers, h = 0.25."),
        (
            "10-better-integrators.html#lab=swap&kind=rk4&rule=midpoint&steps=2",
            "swap",
            "h = 1, solved by midpoint with h = 1/2",
        ),
        (
            "13-language.html#lab=writer&rule=rk4&steps=2&text=To+be%2C",
            "writer",
            "By RK4 with h = 1/2 a letter of this text",
        ),
        ("08-splitting.html#lab=robot&drive=f1l1", "robot", "at (1.00, 0.00) and looks 57° to the left"),
        ("08-splitting.html#lab=robot&goal=half&drive=replay&replay=turn%2C+walk&steps=8", "robot", "walk, 8 times"),
        ("08-splitting.html#lab=robot&goal=nowhere&drive=f1", "robot", "Your robot"),
    ],
    ids=["flock", "race", "swap", "writer", "drive", "replay", "unknown"],
)
def test_an_address_brings_back_its_state(opened, address, name, says):
    page = opened(f"book/{address}")
    section = page.locator(f"section[data-explore={name}].is-live")
    section.locator(".explore-text", has_text=says).wait_for()
    assert section.locator(".explore-guess").inner_text() == ""
    assert page.evaluate("document.querySelector('.is-live').getBoundingClientRect().top") < 500
    assert page.faults == []


def test_a_paused_flock_with_a_moved_token_is_brought_back(opened):
    page = opened("book/06-particles.html", live="flock", reduced_motion="no-preference")
    section = page.locator("section[data-explore=flock]")
    section.locator(".explore-handle").press("Shift+ArrowLeft")
    page.get_by_role("button", name="Play").press("Enter")
    page.wait_for_function("!/At t = 0[ .]/.test(document.querySelector('.explore-text').textContent)")
    page.get_by_role("button", name="Pause").press("Enter")
    in_address(page, "t", "^[0-9.]+$")
    in_address(page, "from", r"^[\w-]{256}$")
    says = words(section)
    page.reload()
    section.locator(".explore-text", has_text=says).wait_for()
    assert page.get_by_role("button", name="Play").is_visible()
    assert page.faults == []


@pytest.mark.parametrize(
    ("address", "name", "says"),
    [
        ("06-particles.html#lab=flock&beta=1e9&t=-5&throw=-3.7&pre=7&from=xx", "flock", "β = 24, post-norm"),
        ("07-parallel-block.html#lab=race&pair=__proto__&start=1e9,-1e9&layers=5.5", "race", "A turns, M pulls, "),
        ("08-splitting.html#lab=robot&goal=half&drive=replay&replay=constructor&steps=1e9", "robot", "24 times"),
        ("10-better-integrators.html#lab=swap&garment=99&kind=nope&rule=what&seed=9", "swap", "Marked: Dress"),
        ("13-language.html#lab=writer&text=%E2%82%AC&rule=zzz&steps=9&heat=-1", "writer", "There is no letter yet"),
    ],
    ids=["flock", "race", "robot", "swap", "writer"],
)
def test_an_address_of_nonsense_is_made_the_best_of(opened, address, name, says):
    page = opened(f"book/{address}", **PHONE)
    page.locator(f"section[data-explore={name}] .explore-text", has_text=says).wait_for()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    assert page.faults == []


def test_nothing_is_fetched_before_it_is_in_view(opened, html):
    page = opened("book/08-splitting.html")
    fetched = """performance.getEntriesByType('resource').map(e => new URL(e.name).pathname)
        .filter(path => path.includes('/explore/'))"""
    before = set(page.evaluate(fetched))
    assert {path.split("/")[-1] for path in before} <= {"frame.js", "handle.js", "tools.js", "explore.css"}
    page.locator("section[data-explore=robot]").scroll_into_view_if_needed()
    page.locator("section.is-live").wait_for()
    after = page.evaluate(fetched)
    files = {"robot.js", "robot-moves.js", "robot-pictures.js", "chart.js", "frame.js", "handle.js", "tools.js"}
    assert {path.split("/")[-1] for path in after} == files | {"explore.css"}
    assert sum(sent(html / path.lstrip("/")) for path in before) < 10_000


@pytest.mark.parametrize("name", PAGES)
def test_without_javascript_a_still_and_a_table_remain(opened, name):
    page = opened(f"{PAGES[name]}.html", java_script_enabled=False)
    section = page.locator(f"section[data-explore={name}]")
    assert section.locator(".explore-still svg").is_visible()
    assert section.locator(".explore-note").is_visible()
    section.locator("summary").click()
    assert section.locator("tbody tr").count() >= 6
    assert section.locator("tbody tr").first.is_visible()


def test_on_paper_it_is_a_still_and_a_table(opened):
    page = opened("book/06-particles.html", live="flock")
    page.emulate_media(media="print")
    section = page.locator("section[data-explore=flock]")
    assert section.locator(".explore-still svg").is_visible()
    assert section.locator("tbody tr").first.is_visible()
    assert not section.locator(".explore-live").is_visible()
    assert section.locator(":is(button, select, input, summary):visible").count() == 0


@pytest.mark.parametrize("name", ["flock", "race"])
def test_the_front_page_has_the_flock_and_the_race(opened, name):
    page = opened("book/index.html", live=name, **PHONE)
    section = page.locator(f"section[data-explore={name}]")
    assert section.locator(".ode-lab-title").inner_text().upper().startswith("LABORATORY ")
    assert "None" not in section.locator(".ode-lab-title").inner_text()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    assert page.faults == []
