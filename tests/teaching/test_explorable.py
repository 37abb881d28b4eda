"""What an explorable leaves where nothing can compute: a still, a table, and what the page's script begins with."""

import json
import re
from importlib import import_module

import matplotlib.pyplot as plt
import pytest

from odelib.teaching import explorable

MODULE = import_module("odelib.teaching.explorable")  # whose name the package gives to its function
STATES = [{"*n*": "1", "ends": "at <b> & c"}, {"*n*": "2", "ends": "there"}]


@pytest.fixture
def shown(monkeypatch):
    bundles = []
    monkeypatch.setattr(MODULE, "emit", bundles.append)

    def show(**given):
        fig, ax = plt.subplots(figsize=(3, 2))
        ax.plot([0, 1], [0, 1])
        explorable("race", **{"title": "Which *way*?", "still": fig, "alt": "A line.", "states": STATES, **given})
        return bundles[-1]

    return show


def test_page_still_and_words_are_sent(shown):
    bundle = shown()
    assert set(bundle) == {"text/html", "image/png", "text/plain"}
    assert bundle["text/plain"] == "Laboratory: Which *way*?. A line."
    page = bundle["text/html"]
    assert 'data-explore="race"' in page
    assert '<title id="lab-race-title">A line.</title>' in page
    assert '<th scope="col"><em>n</em></th><th scope="col">ends</th>' in page
    assert re.findall(r"<td>(.*?)</td>", page) == ["1", "at &lt;b&gt; &amp; c", "2", "there"]
    assert "http" not in page  # nothing is fetched
    assert plt.get_fignums() == []


def test_settings_reach_the_script_and_cannot_end_it(shown):
    page = shown(settings={"start": [[1 / 3, 2.0]], "text": "</script>"})["text/html"]
    (held,) = re.findall(r'class="explore-settings">(.*?)</script>', page)
    assert json.loads(held) == {"start": [[0.3333, 2.0]], "text": "</script>"}


@pytest.mark.parametrize("states", [[], [{"a": "1"}, {"b": "2"}]], ids=["none", "other columns"])
def test_states_without_common_columns_are_refused(shown, states):
    with pytest.raises(ValueError, match="states of race need the same columns"):
        shown(states=states)


def test_a_name_without_a_module_is_refused():
    with pytest.raises(ValueError, match=r"explorable.*rase"):
        explorable("rase", title="t", still=plt.figure(), alt="a", states=STATES)
    plt.close("all")
