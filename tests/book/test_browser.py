"""The pages as a person sees them, in headless Chromium."""

import functools
import gzip
import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CDN = re.compile(r"https://(?:cdn\.jsdelivr\.net/npm|unpkg\.com)/((?:@[\w.-]+/)?[\w.-]+)@[\w.-]+/([^?]*)")
CDNJS = re.compile(r"https://cdnjs\.cloudflare\.com/ajax/libs/require\.js/[\w.-]+/require(?:\.min)?\.js")

# The contrast of every element that has text of its own against what is painted behind it, below 4.5 only.
LOW_CONTRAST = """() => {
  const rgba = c => { const v = c.match(/[\\d.]+/g).map(Number);
    const scale = c.startsWith('color(') ? 255 : 1;
    return [v[0] * scale, v[1] * scale, v[2] * scale, v.length > 3 ? v[3] : 1]; };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const linear = x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4;
  const light = c => [.2126, .7152, .0722].reduce((sum, weight, i) => sum + weight * linear(c[i] / 255), 0);
  const behind = e => { const layers = [];
    for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor);
      layers.push(c); if (c[3] === 1) break; }
    return layers.reverse().reduce((below, c) => over(c, below), [255, 255, 255, 1]); };
  const ratio = (a, b) => { const r = (light(a) + .05) / (light(b) + .05); return Math.max(r, 1 / r); };
  const low = [];
  const judge = (e, colour, what) => { const ground = behind(e);
    const r = ratio(over(rgba(colour), ground), ground); if (r < 4.5) low.push(`${what}: ${r.toFixed(2)}`); };
  for (const e of document.querySelectorAll('article *')) {
    const style = getComputedStyle(e);
    if (!e.checkVisibility() || e.closest('mjx-assistive-mml, .headerlink, [aria-hidden=true]')) continue;
    if (e instanceof SVGElement) {
      if (e.tagName === 'svg') judge(e, style.color, 'ink of ' + (e.id || e.parentElement.className));
      if (e.tagName === 'text') judge(e, style.fill, 'lettering ' + e.textContent);
    } else if ([...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && !e.closest('svg, button'))
      judge(e, style.color, `${e.tagName}.${e.className} "${e.textContent.trim().slice(0, 30)}"`);
  }
  return [...new Set(low)];
}"""


class Visit:
    """One page, open, and what happened while it opened."""

    def __init__(self, browser, cdn, site, name, without=None, **options):
        self.name, self.without = name, without
        self.is_notebook = (ROOT / f"{name}.ipynb").exists()
        self.errors, self.warnings, self.foreign = [], [], []
        options = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **options}
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(180_000)  # a slow machine is no fault of the page
        self.page = self.context.new_page()
        self.page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        self.page.on("console", lambda message: message.type == "warning" and self.warnings.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.context.route(lambda url: not url.startswith(site), lambda route: self.serve(cdn, route))
        self.page.goto(f"{site}/{name}.html")
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate("() => setFormulas()")
        # A colour on its way from one theme to the other has no contrast of its own.
        self.page.add_style_tag(content="*, *::before, *::after { transition: none !important; }")

    def serve(self, cdn, route):
        """Answer for the CDN from the npm packages, and note whatever else the page asks for."""
        url = route.request.url
        if url.startswith(("data:", "blob:")):
            return route.continue_()
        if CDNJS.fullmatch(url):
            return route.fulfill(path=cdn / "requirejs/require.js")
        package = CDN.fullmatch(url)
        if package and self.without and self.without in package[2]:
            return route.abort()
        if package and (cdn / package[1] / package[2]).is_file():
            return route.fulfill(path=cdn / package[1] / package[2])
        self.foreign.append(url)
        return route.abort()

    def theme(self, name):
        self.page.evaluate("name => { document.documentElement.dataset.theme = name; }", name)


@pytest.fixture(scope="module")
def visit(page_name, browser, cdn, site):
    visit = Visit(browser, cdn, site, page_name)
    yield visit
    visit.context.close()


def test_formulas_are_set_as_they_come_near_and_all_on_paper(browser, cdn, site):
    page = Visit(browser, cdn, site, "book/08-splitting").page
    page.reload()
    page.wait_for_load_state("networkidle")
    written, first = page.locator("article .math"), page.locator("article .math:has(mjx-container)")
    page.wait_for_function("document.querySelector('article .math mjx-container')")
    few = first.count()
    assert 0 < few < written.count() / 4
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    page.wait_for_function(f"document.querySelectorAll('article .math:has(mjx-container)').length > {few}")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert first.count() == written.count()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.evaluate("setFormulas()")
    assert page.locator("article mjx-container mjx-container").count() == 0  # none twice
    page.context.close()


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize(("options", "menu"), [({}, True), (PHONE, False)], ids=["laptop", "phone"])
def test_a_formula_has_its_menu_where_there_is_a_mouse(browser, cdn, site, options, menu):
    visit = Visit(browser, cdn, site, "book/07-parallel-block", **options)
    formula = visit.page.locator("article mjx-container").first
    formula.click(button="right")
    assert visit.page.locator(".CtxtMenu_Menu").count() == menu
    assert visit.errors == visit.warnings == []
    visit.context.close()


def test_mathjax_comes_after_the_first_paint(browser, cdn, site):
    visit = Visit(browser, cdn, site, "book/07-parallel-block")
    painted, asked = visit.page.evaluate("""() => [performance.getEntriesByName('first-contentful-paint')[0].startTime,
        performance.getEntriesByType('resource').filter(r => r.name.includes('mathjax')).map(r => r.startTime)]""")
    assert len(asked) > 3
    assert min(asked) >= painted > 0
    assert visit.page.locator("link[rel=preload][as=script]").count() == 0
    visit.context.close()


def test_formulas_are_set_without_the_menu(browser, cdn, site):
    visit = Visit(browser, cdn, site, "book/07-parallel-block", without="ui/menu")
    assert visit.page.locator("article mjx-container").count() >= visit.page.locator("article .math").count() > 20
    assert "MathJax: ui/menu did not load" in visit.warnings
    visit.context.close()


def test_opens_without_errors(visit):
    assert visit.errors == []
    assert visit.foreign == []


def test_has_one_title(visit):
    assert visit.page.locator("article h1").count() == 1
    assert visit.page.locator("h1:visible").count() == 1


def test_heads_of_columns_stand_over_their_columns(visit):
    apart = """tables => { const side = e => getComputedStyle(e).textAlign.replace('start', 'left');
        const most = sides => [...new Set(sides)].map(s => [sides.filter(t => t === s).length, s]).sort().pop()?.[1];
        return tables.flatMap(table => [...table.querySelectorAll("thead tr > *")].filter((head, i) => {
            const sides = [...table.querySelectorAll(`tbody tr > :nth-child(${i + 1})`)].map(side);
            return sides.length && head.textContent.trim() && side(head) !== most(sides);
        }).map(head => head.textContent)); }"""
    assert visit.page.locator("article table.table").evaluate_all(apart) == []


def test_formulas_are_typeset(visit):
    written = visit.page.locator("article .math").count()
    assert visit.page.locator("article mjx-container").count() >= written
    assert visit.page.locator("mjx-merror, [data-mjx-error]").count() == 0
    raw = visit.page.locator("article").evaluate("e => e.innerText.match(/\\\\[a-zA-Z]{3,}|\\$[^$\\n]+\\$/g) || []")
    assert visit.is_notebook or raw == []


def test_pictures_have_a_description(visit):
    nameless = """elements => elements.filter(e => !(e.getAttribute('alt') || e.getAttribute('aria-label')
        || (e.getAttribute('aria-labelledby') && e.querySelector('title')?.textContent.trim())
        || e.querySelector(':scope > title')?.textContent.trim())).map(e => e.outerHTML.slice(0, 120))"""
    assert visit.page.locator("article img").evaluate_all(nameless) == []
    pictures = "article svg:not([aria-hidden=true], mjx-container svg, svg svg, button svg, summary svg)"
    assert visit.page.locator(pictures).evaluate_all(nameless) == []
    assert (
        visit.page.locator(pictures).evaluate_all("all => all.filter(e => e.getAttribute('role') !== 'img').length")
        == 0
    )
    if visit.is_notebook:
        assert visit.page.locator("article figure").count() >= 1


def test_fits_a_phone(visit):
    visit.page.set_viewport_size({"width": 390, "height": 844})
    try:
        widest = """() => [...document.querySelectorAll('article *')].map(e => [e.getBoundingClientRect().right, e])
            .filter(([right]) => right > 391).map(([right, e]) => `${e.tagName}.${e.className} ${right}`).slice(0, 5)"""
        width = visit.page.evaluate("document.scrollingElement.scrollWidth")
        assert width <= 390, visit.page.evaluate(widest)
        # What is wider than the column scrolls in a box of its own, and is not cut off.
        wide = "article pre, article table, article svg, article img"
        cut = """wide => [...document.querySelectorAll(wide)].filter(e => {
            if (!e.checkVisibility() || e.getBoundingClientRect().right <= 391) return false;
            for (let box = e.parentElement; box; box = box.parentElement)
                if (['auto', 'scroll'].includes(getComputedStyle(box).overflowX)) return false;
            return true; }).map(e => e.outerHTML.slice(0, 100))"""
        assert visit.page.evaluate(cut, wide) == []
        # Code is wrapped: to read a line nobody has to scroll it sideways.
        hidden = "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 80))"
        assert visit.page.locator("article pre, article dt.sig").evaluate_all(hidden) == []
    finally:
        visit.page.set_viewport_size({"width": 1280, "height": 900})


def test_code_is_the_smaller_part_of_a_phone_s_page(visit):
    visit.page.set_viewport_size({"width": 390, "height": 844})
    try:
        share = """() => {
            const code = "article .highlight, article .cell_output pre";
            const all = [...document.querySelectorAll(code)].filter(e => e.checkVisibility()
                && !e.parentElement.closest(code + ", [popover], details:not([open])"));
            const height = e => e.getBoundingClientRect().height;
            return all.reduce((sum, e) => sum + height(e), 0) / height(document.querySelector("article")); }"""
        assert visit.page.evaluate(share) <= 0.45
        sizes = "all => all.filter(e => e.checkVisibility()).map(e => parseFloat(getComputedStyle(e).fontSize))"
        assert min(visit.page.locator("article .highlight pre").evaluate_all(sizes), default=13) >= 13
    finally:
        visit.page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_is_readable(visit, theme):
    visit.theme(theme)
    try:
        assert visit.page.evaluate(LOW_CONTRAST) == []
    finally:
        visit.theme("light")


def test_launch_buttons_lead_to_the_notebook(visit):
    config = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    owner_and_name = config["url"].removeprefix("https://github.com/")
    links = visit.page.locator("a").evaluate_all("all => all.map(a => a.href)")
    colab = [link for link in links if "colab.research.google.com" in link]
    binder = [link for link in links if "mybinder.org" in link]
    if not visit.is_notebook:
        assert colab == binder == []
        return
    chapter = visit.name.removeprefix("book/")
    if owner_and_name.startswith("OWNER/"):  # dead links help nobody: the buttons say what is missing
        assert colab == binder == []
        buttons = visit.page.locator(".dropdown-launch-buttons button.dropdown-item")
        assert [
            title
            for title in buttons.evaluate_all("all => all.map(e => e.title || e.dataset.bsOriginalTitle)")
            if "run make address" in title
        ] != []
        return
    assert colab == [f"https://colab.research.google.com/github/{owner_and_name}/blob/notebooks/colab/{chapter}.ipynb"]
    assert binder == [f"https://mybinder.org/v2/gh/{owner_and_name}/notebooks?urlpath=lab/tree/jupyter/{chapter}.ipynb"]


def test_laboratory_moves_by_keyboard(visit):
    laboratories = visit.page.locator(".ode-lab")  # the others are in test_explorables.py
    assert visit.page.locator(".ode-lab, .ode-explore").count() >= (1 if visit.is_notebook else 0)
    for laboratory in laboratories.all():
        slider = laboratory.locator("input[type=range]")
        text, picture = laboratory.locator(".ode-lab-text"), laboratory.locator("svg").first
        seen = []
        slider.focus()
        for key in ("Home", "ArrowRight", "ArrowRight"):
            slider.press(key)
            seen.append((slider.get_attribute("aria-valuetext"), text.inner_text(), picture.screenshot()))
        for before, after in pairwise(seen):
            assert all(old != new for old, new in zip(before, after, strict=True))


def test_solutions_open_by_keyboard(visit):
    for line in visit.page.locator("article details.solution > summary").all():
        line.focus()
        line.press("Enter")
        assert line.locator("xpath=..").get_attribute("open") is not None


@functools.cache
def sent(path):
    """Bytes that a server sends for a file: like every host of static pages it compresses text."""
    content = path.read_bytes()
    return len(gzip.compress(content, 6) if path.suffix in {".html", ".css", ".js", ".svg"} else content)


def test_loads_little(visit, html, site):
    resources = visit.page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    own = {urlsplit(url).path for url in [visit.page.url, *resources] if url.startswith(site)}
    assert len(own) > 10
    assert sum(sent(html / path.lstrip("/")) for path in own) < 1_100_000


def test_no_script_is_waited_for(html, page_name):
    scripts = re.findall(r"<script\b[^>]*\bsrc=[^>]*>", (html / f"{page_name}.html").read_text())
    assert scripts
    waited_for = [script for script in scripts if " defer" not in script]
    assert all("documentation_options.js" in script for script in waited_for)  # some hundred bytes
