"""The search brings sections, not pages: twenty questions, and where each must lead among the first three."""

import re

import pytest

EXPECTED = {
    "layer norm": "05-anatomy#",
    "weight tying": "glossary#term-weight-sharing",
    "universal transformer": "09-weight-sharing#who-else-shares",
    "GPT": "07-parallel-block#who-builds-it-so",
    "neural ODE": "04-neural-ode-classifier#",
    "adjoint method": "03-gradients#",
    "stiffness": "02-solvers#stiffness",
    "kv cache": "glossary#term-key-value-cache",
    "runge kutta": "glossary#term-Runge-Kutta-method",
    "pre-norm vs post-norm": "06-particles#pre-norm-and-post-norm-as-differential-equations",
    "Lie-Trotter": "08-splitting#",
    "macaron": "08-splitting#the-layers-that-are-built",
    "commutator": "glossary#term-commutator",
    "BLEU": "glossary#term-BLEU",
    "causal mask": "13-language#the-velocity-of-a-token-knows-its-past",
    "checkpointing": "glossary#term-checkpointing",
    "adaptive step size": "glossary#term-adaptive-steps",
    "residual network": "01-residual-euler#",
    "clusters of tokens": "06-particles#one-place-or-several",
    "trajectories cross": "01-residual-euler#trajectories-do-not-cross",
}


@pytest.fixture(scope="module")
def ask(browser, site):
    context = browser.new_context()
    context.set_default_timeout(60_000)
    context.route(lambda url: not url.startswith(site), lambda route: route.abort())
    page = context.new_page()

    def results(query):
        page.goto(f"{site}/search.html?q={query}")
        page.wait_for_selector("#search-results p")
        return page

    yield results
    context.close()


@pytest.mark.parametrize("query", EXPECTED)
def test_the_section_is_among_the_first_three(ask, query):
    links = ask(query).locator("#search-results li > a").evaluate_all("all => all.map(a => a.href)")
    first = [link.split("/book/")[-1].replace(".html", "") for link in links[:3]]
    assert any(place.startswith(EXPECTED[query]) or place == EXPECTED[query].rstrip("#") for place in first), first


def test_snippets_show_words_and_mark_them(ask):
    page = ask("euler step")
    texts = page.locator("#search-results li p").all_inner_texts()
    assert len(texts) > 10
    assert [text for text in texts if re.search(r"\\[a-zA-Z]{2,}|\$", text)] == []
    assert page.locator("#search-results mark").count() > 10


def test_a_result_opens_its_section(ask, site):
    page = ask("stiffness")
    page.locator("#search-results li > a").first.click()
    page.wait_for_url(f"{site}/book/**")
    assert page.evaluate("!!document.getElementById(location.hash.slice(1))")


def test_what_is_not_there_is_said(ask):
    assert "Nothing in the book has" in ask("zzyzx").locator("#search-results").inner_text()
