"""Pictures per second of the explorables while they move: on a laptop, and on a phone whose CPU is four times as slow.

    make book
    python benchmarks/explorables.py [_build/html]

Opens the built book in headless Chromium. A picture is one call of requestAnimationFrame; the bounds are those that the
pages promise, 60 on a laptop (a screen refreshes no faster; 58 counts) and 30 on the phone.
"""

import functools
import http.server
import shutil
import sys
import threading

from playwright.sync_api import Page, sync_playwright

SECONDS = 5
LAPTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "device_scale_factor": 2}
PLACES = {
    "flock": "book/06-particles",
    "race": "book/07-parallel-block",
    "robot": "book/08-splitting",
    "swap": "book/10-better-integrators",
    "writer": "book/13-language",
}
COUNT = """seconds => new Promise(done => {
    let pictures = 0; const begin = performance.now();
    const tick = now => { pictures++;
        if (now - begin < 1000 * seconds) requestAnimationFrame(tick); else done(pictures / (now - begin) * 1000); };
    requestAnimationFrame(tick); })"""

GO_ROUND = """() => {
    const start = [...document.querySelectorAll('.explore-handle')].find(e => /^Start/.test(e.ariaLabel));
    const keys = ['ArrowLeft', 'ArrowUp', 'ArrowRight', 'ArrowDown'];
    let k = 0;
    const turn = () => {
        start.dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, key: keys[(k++ >> 3) % 4] }));
        requestAnimationFrame(turn);
    };
    turn(); }"""

DRAG = """() => {
    const step = document.querySelector('#explore-swap-steps');
    let k = 0;
    setInterval(() => { step.value = k++ % 6; step.dispatchEvent(new Event('input')); }, 200); }"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that does not tell of each."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def move(page: Page, name: str) -> None:
    """Set an explorable in motion, at its most expensive, for longer than is counted."""
    page.locator(".explore-guess button").last.click()  # "Just show me"
    if name == "race":  # the start goes round, and everything is computed anew each time
        page.evaluate(GO_ROUND)
    elif name == "robot":
        page.get_by_role("combobox", name="goal").select_option("half")
        page.locator("[role=application]").focus()
        page.keyboard.down("ArrowUp")
        page.keyboard.down("ArrowLeft")
    elif name == "swap":  # the step is dragged to and fro, and each time the paths bend
        page.locator(".swap-garments button").first.wait_for()
        page.evaluate(DRAG)
    elif name == "writer":  # with the largest cache
        page.get_by_role("combobox", name="solved by").select_option("rk4")
        page.get_by_role("slider", name="step h").press("End")
        page.get_by_role("button", name="Write", exact=True).click()


def main() -> None:
    """Print a table; exit with 1 if a bound is missed."""
    folder = sys.argv[1] if len(sys.argv) > 1 else "_build/html"
    handler = functools.partial(Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chromium = next(filter(None, map(shutil.which, ("google-chrome", "chromium", "chromium-browser"))))
    missed = False
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for where, options, slowdown, bound in (("laptop", LAPTOP, 1, 58), ("phone, 4x slower", PHONE, 4, 30)):
            for name, address in PLACES.items():
                context = browser.new_context(**options)
                page = context.new_page()
                page.goto(f"http://127.0.0.1:{server.server_port}/{address}.html")
                page.locator(f"section[data-explore={name}]").scroll_into_view_if_needed()
                page.locator(".is-live canvas").first.wait_for()
                context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slowdown})
                move(page, name)
                rate = page.evaluate(COUNT, SECONDS)
                missed |= rate < bound
                print(f"{name:8}{where:20}{rate:6.1f} pictures a second{'' if rate >= bound else f', below {bound}'}")
                context.close()
        browser.close()
    server.shutdown()
    sys.exit(missed)


if __name__ == "__main__":
    main()
