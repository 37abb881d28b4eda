"""Claims hold or fail loudly, print one line, and glue what the prose quotes."""

import io
import math

import numpy as np
import pytest
import torch
from scipy import stats

from odelib.teaching import _display, claims
from odelib.teaching.claims import ClaimFailed, claim, format_number, report


@pytest.fixture
def glued(monkeypatch):
    """What the claims glue, as (name, the text that {glue:text} shows)."""
    found = []

    def keep(bundle, metadata):
        ((mime, content),) = bundle.items()
        assert metadata["scrapbook"]["mime_prefix"] + "text/plain" == mime
        found.append((metadata["scrapbook"]["name"], content))

    monkeypatch.setattr(claims, "emit_after_cell", keep)
    return found


@pytest.mark.parametrize(
    ("measured", "stated", "line", "quoted"),
    [
        (0.9981, {"expected": 1, "tolerance": 0.05}, "0.998, expected 1 ± 0.05: holds", "0.998"),
        (1.05, {"expected": 1.0, "tolerance": 0.0501}, "1.05, expected 1 ± 0.0501: holds", "1.05"),
        (26122, {"expected": 26122}, "26,122, expected 26,122 exactly: holds", "26,122"),
        (0.8512, {"above": 0.84, "digits": 2}, "0.85, above 0.84: holds", "0.85"),
        (2.5e-7, {"below": 1e-6, "digits": 2}, "2.5 × 10⁻⁷, below 10⁻⁶: holds", "2.5 × 10⁻⁷"),
        (3.1e-16, {"below": 1e-12, "digits": None}, "3.1 × 10⁻¹⁶ on this machine, below 10⁻¹²: holds", "10⁻¹²"),
        (12.0, {"above": 3, "unit": "ms"}, "12.0 ms, above 3 ms: holds", "12.0 ms"),
        (torch.tensor(2.0), {"above": 1}, "2.00, above 1: holds", "2.00"),
        (np.int64(7), {"expected": 7}, "7, expected 7 exactly: holds", "7"),
    ],
)
def test_claim_that_holds(measured, stated, line, quoted, capsys, glued):
    assert claim("a-name", measured, **stated) is None  # else a cell would display it
    assert capsys.readouterr().out == f"claim a-name: {line}\n"
    assert glued == [("a-name", repr(quoted))]


@pytest.mark.parametrize(
    ("measured", "stated", "sentence"),
    [
        (1.06, {"expected": 1, "tolerance": 0.05}, "measured 1.06000, but the text says expected 1 ± 0.05"),
        (0.94, {"expected": 1, "tolerance": 0.05}, "measured 0.940000"),
        (0.84, {"above": 0.84}, "above 0.84"),
        (1.0, {"below": 1.0}, "below 1"),
        (3, {"expected": 4}, "measured 3, but the text says expected 4 exactly"),
        (math.nan, {"above": 0}, "measured nan"),
        (math.nan, {"expected": 0, "tolerance": 1}, "measured nan"),
        (math.inf, {"expected": 0, "tolerance": 1}, "measured inf"),
    ],
)
def test_false_claim_fails_in_a_sentence_and_glues_nothing(measured, stated, sentence, glued):
    with pytest.raises(ClaimFailed, match="The claim slope is false") as failure:
        claim("slope", measured, **stated)
    assert sentence in str(failure.value)
    assert glued == []


@pytest.mark.parametrize(
    "stated",
    [
        {},
        {"expected": 1, "tolerance": 1, "above": 0},
        {"above": 0, "below": 2},
        {"tolerance": 0.1, "above": 0},
        {"expected": 1, "tolerance": -1},
        {"expected": 1, "tolerance": 1, "digits": None},
        {"expected": 1},
    ],
)
def test_badly_stated_claim_is_refused(stated):
    with pytest.raises(ValueError, match="claim slope"):
        claim("slope", 1.0, **stated)


@pytest.mark.parametrize("name", ["", "Slope", "a b", "a_b", "-a", "a--b", "a`b"])
def test_unusable_name_is_refused(name):
    with pytest.raises(ValueError, match="glue key"):
        claim(name, 1.0, above=0)
    with pytest.raises(ValueError, match="glue key"):
        report(name, 1.0)


def test_report_prints_and_glues(capsys, glued):
    assert report("loss", 0.12345, digits=2) is None
    report("winner", "euler")
    report("images", 6000)
    assert capsys.readouterr().out == "loss: 0.12\nwinner: euler\nimages: 6000\n"
    assert glued == [("loss", "'0.12'"), ("winner", "'euler'"), ("images", "'6000'")]
    with pytest.raises(ValueError, match="finite"):
        report("loss", math.nan)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 3, "0"),
        (-0.0, 3, "0"),
        (1.0, 3, "1.00"),
        (9.9996, 4, "10.00"),
        (-0.05, 1, "-0.05"),
        (12345.6, 3, "12,300"),
        (1234.5, 5, "1234.5"),
        (1.2e-7, 3, "1.20 × 10⁻⁷"),
        (2e8, 2, "2.0 × 10⁸"),
        (1e-12, None, "10⁻¹²"),
        (-1e-12, None, "-10⁻¹²"),
        (0.25, None, "0.25"),
        (200.0, None, "200"),
        (123456, 3, "123,456"),
    ],
)
def test_format_number(value, digits, text):
    assert format_number(value, digits) == text


def test_outside_a_notebook_nothing_but_the_line_appears(capsys):
    assert not _display.in_notebook()
    claim("plain", 1.0, above=0)
    assert capsys.readouterr().out == "claim plain: 1.00, above 0: holds\n"
    assert _display._waiting == []


def test_glue_has_the_form_of_myst_nb():
    glue = pytest.importorskip("myst_nb.ext.glue")
    assert claims._GLUE_PREFIX == glue.GLUE_PREFIX
    from myst_nb.core.variables import format_plain_text

    assert format_plain_text(repr("12,300"), "s") == "12,300"
    assert format_plain_text(repr("1.20"), "s") == "1.20"


def test_a_claim_over_seeds_says_over_how_many(capsys):
    claim("kept", 0.9, above=0.5, seeds=5)
    assert capsys.readouterr().out == "claim kept: 0.900, above 0.5, over 5 seeds: holds\n"
    with pytest.raises(ValueError, match="at least 1, got 0"):
        claim("kept", 0.9, above=0.5, seeds=0)


SAMPLE = [0.21, 0.35, 0.29, 0.48, 0.4]


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"above": 0.2}, "0.21 to 0.48, above 0.2 in each, over 5 seeds"),
        ({"above": 0.2, "of": "all"}, "0.21 to 0.48, above 0.2 in each, over 5 seeds"),
        ({"below": 0.41, "of": 4}, "4 of 5, below 0.41 in at least 4 of 5, over 5 seeds"),
        ({"below": 0.45, "of": 3}, "4 of 5, below 0.45 in at least 3 of 5, over 5 seeds"),
        ({"expected": 0.3, "tolerance": 0.2}, "0.21 to 0.48, expected 0.3 ± 0.2 in each, over 5 seeds"),
        (
            {"above": 0.2, "of": "mean", "digits": 2},
            "0.35 (0.22 to 0.47), above 0.2 for the mean, with its 95 % interval, over 5 seeds",
        ),
        ({"above": 0.2, "unit": "s", "seeds": 2}, "0.21 to 0.48 s, above 0.2 s in each, over 2 seeds"),
    ],
)
@pytest.mark.parametrize("kind", [list, tuple, torch.tensor, np.array])
def test_a_sample_is_claimed_as_a_sample(said, line, kind, capsys):
    claim("spread", kind(SAMPLE), **{"digits": 2, **said})
    assert f"claim spread: {line}: holds\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "said",
    [
        {"above": 0.21},  # strict
        {"above": 0.3, "of": 4},
        {"above": 0.23, "of": "mean"},  # the mean is 0.35, but its interval begins at 0.22
        {"below": 0.47, "of": "mean"},
        {"expected": 0.3, "tolerance": 0.1},
    ],
)
def test_a_false_claim_about_a_sample_shows_the_sample(said):
    with pytest.raises(ClaimFailed, match=r"measured 0\.21.*0\.48"):
        claim("spread", SAMPLE, **said)


def test_a_sample_with_a_nan_is_no_evidence():
    for of in ("all", "mean", 3):
        with pytest.raises(ClaimFailed):
            claim("spread", [0.5, math.nan, math.nan], above=0, of=of)


def test_the_interval_of_a_mean_is_students():
    low, high = map(float, stats.t.interval(0.95, 4, loc=np.mean(SAMPLE), scale=stats.sem(SAMPLE)))
    claim("edge", SAMPLE, above=low - 1e-9, of="mean")
    claim("edge", SAMPLE, below=high + 1e-9, of="mean")
    for bound in ({"above": low + 1e-9}, {"below": high - 1e-9}):
        with pytest.raises(ClaimFailed):
            claim("edge", SAMPLE, **bound, of="mean")


@pytest.mark.parametrize("sample", [[0.5, 0.6], [0.5, 0.6, 0.7, 0.8], [0.5] * 9])
def test_few_numbers_and_ties_have_no_interval(sample):
    with pytest.raises(ValueError, match="there is no interval, since that takes 5 that differ"):
        claim("x-y", sample, above=0.4, of="mean")


@pytest.mark.parametrize("of", [0, 6])
def test_a_statement_of_no_sample_is_refused(of):
    with pytest.raises(ValueError, match="of must be all, mean or 1 to 5"):
        claim("spread", SAMPLE, above=0, of=of)
    with pytest.raises(ValueError, match="is about a sample"):
        claim("one", 1.0, above=0, of="all")


def test_the_spread_of_a_sample_is_quoted(capsys):
    report("spread", SAMPLE, digits=2, unit="%")
    report("alike", [1.001, 1.002], digits=2)
    report("whole", torch.tensor([3, 12]))
    assert capsys.readouterr().out == "spread: 0.21 to 0.48 %\nalike: 1.0\nwhole: 3 to 12\n"
    with pytest.raises(ValueError, match="finite"):
        report("spread", [1.0, math.inf])


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("cp1252", "claim noise: 1.00 × 10^-7, expected 10^-7 ± 10^-9: holds\nwhere: ?pó?\n"),
        ("ascii", "claim noise: 1.00 ? 10^-7, expected 10^-7 ? 10^-9: holds\nwhere: ?p??\n"),
        ("utf-8", "claim noise: 1.00 × 10⁻⁷, expected 10⁻⁷ ± 10⁻⁹: holds\nwhere: Ωpół\n"),
    ],
)
def test_a_console_of_few_characters_is_told_in_its_own(encoding, printed, monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    monkeypatch.setattr("sys.stdout", console)
    claim("noise", 1e-7, expected=1e-7, tolerance=1e-9)
    report("where", "Ωpół")
    console.flush()
    assert console.buffer.getvalue().decode(encoding) == printed
