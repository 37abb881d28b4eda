"""Statistics against known answers, and against simulated data of which the truth is known."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from odelib.analysis.cost import Cost
from odelib.studies.statistics import difference, hierarchical, paired, power, seeds_needed, summary
from odelib.studies.study import Claim
from odelib.studies.verdicts import Comparison, decide, held_equal, paragraph
from odelib.teaching.results import kept_study

RNG = np.random.default_rng(1)


# Known answers


def test_mean_and_spread_of_a_sample() -> None:
    found = summary([1.0, 2.0, 3.0, 4.0])
    assert (found.count, found.mean) == (4, 2.5)
    assert found.std == pytest.approx(math.sqrt(5 / 3))
    assert math.isnan(found.low)  # four are too few for an interval


def test_the_interval_of_a_mean_is_students() -> None:
    # The means of five numbers with deviation 1 have the error 1 / sqrt(5), and t for 4 degrees of freedom is 2.776.
    found = summary([-1.2649111, -0.6324555, 0.0, 0.6324555, 1.2649111])
    assert (found.low, found.high) == pytest.approx((-2.7764451 / math.sqrt(5), 2.7764451 / math.sqrt(5)))


def test_one_value_and_equal_values_have_no_spread() -> None:
    assert all(map(math.isnan, (summary([3.0]).std, summary([3.0]).low, summary([3.0]).high)))
    assert (summary([2.0] * 3).mean, summary([2.0] * 3).std) == (2.0, 0.0)


@pytest.mark.parametrize("scale", [1.0, -3e-5, 2e3])
def test_what_differs_by_the_rounding_of_float32_is_a_tie(scale: float) -> None:
    steps = scale * np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    noisy, spread = scale * 0.8 + 1e-8 * steps, scale * 0.8 + 1e-5 * steps
    single = np.nextafter(np.full(5, scale, np.float32), np.float32([9, 9, -9, -9, 9]) * scale).astype(np.float64)
    assert len(set(single)) == 2
    for ties in (noisy, single):
        assert math.isnan(summary(list(ties)).low)
        assert math.isnan(difference(list(ties), list(spread)).low)
        assert math.isnan(difference(list(spread), list(ties)).low)
        assert math.isnan(hierarchical(np.repeat(ties[:, None], 4, 1), np.repeat(spread[:, None], 4, 1)).low)
    assert summary(list(spread)).low < float(spread.mean()) < summary(list(spread)).high
    assert math.isfinite(difference(list(spread), list(spread)).low)


def test_pairs_that_changed_alike_up_to_rounding_are_a_tie() -> None:
    before, noise = np.linspace(1.0, 5.0, 8), 1e-7 * np.cos(np.arange(8.0))
    assert math.isnan(paired(before + 0.5 + noise, before).low)
    nothing = paired(before + noise, before)  # and what did not change at all has a gain of 0, up to rounding
    assert max(abs(nothing.low), abs(nothing.high)) < 1e-6
    assert math.isfinite(paired(before + 0.5 + 1e4 * noise, before).low)


@pytest.mark.parametrize("values", [[], [1.0, math.nan]])
def test_no_values_and_nan_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="expected at least one, and finite numbers only"):
        summary(values)


def test_welchs_interval_by_hand() -> None:
    # Variances 2.5 and 10, errors squared 0.5 and 2: a half width of t sqrt(2.5), with 2.5^2 / (0.5^2 + 2^2) 4 degrees.
    found = difference([1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 4.0, 6.0, 8.0, 10.0], 0.9)
    half = stats.t.ppf(0.95, 6.25 / (4.25 / 4)) * math.sqrt(2.5)
    assert (found.counts, found.mean, found.level) == ((5, 5), -3.0, 0.9)
    assert (found.low, found.high) == pytest.approx((-3.0 - half, -3.0 + half))


def test_the_interval_of_pairs_is_students_of_their_differences() -> None:
    first, second = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    found = paired(first, second, level=0.9)
    low, high = stats.ttest_rel(first, second).confidence_interval(0.9)
    assert (found.counts, found.mean, found.level) == ((6, 6), pytest.approx(1 / 3), 0.9)
    assert (found.low, found.high) == pytest.approx((low, high))
    nothing = paired(first, first)
    assert (nothing.mean, nothing.low, nothing.high) == (0.0, 0.0, 0.0)
    assert math.isnan(paired(first[:4], second[:4]).low)
    alike = paired(np.ones(6), np.zeros(6))  # a tie: no spread to judge by
    assert (alike.mean, math.isnan(alike.low), math.isnan(alike.high)) == (1.0, True, True)
    assert math.isnan(paired(places := np.arange(1.0, 7.0), np.zeros(6), places).low)
    with pytest.raises(ValueError, match="6 and 5 items of 6 came"):
        paired(first, second[:5])


def test_the_interval_of_pairs_holds_the_difference_of_items_with_many_places() -> None:
    held = 0
    for _ in range(400):
        places = RNG.integers(1, 30, 60).astype(np.float64)
        skill = RNG.beta(4, 2, 60)  # of an item, whose places are not independent
        first, second = (RNG.binomial(places.astype(int), rate) for rate in (0.9 * skill, 0.8 * skill))
        found = paired(first.astype(np.float64), second.astype(np.float64), places)
        held += found.low <= 0.1 * 2 / 3 <= found.high
    assert 0.91 < held / 400 < 0.985


@given(st.lists(st.floats(-5, 5), min_size=5, max_size=8), st.lists(st.floats(-5, 5), min_size=5, max_size=8))
def test_the_interval_leaves_out_zero_where_scipys_test_rejects(first: list[float], second: list[float]) -> None:
    found = difference(first, second, 0.8)
    if min(np.std(first), np.std(second)) > 1e-6:
        p_value = stats.ttest_ind(first, second, equal_var=False).pvalue
        assert abs(p_value - 0.2) < 1e-9 or (found.low > 0 or found.high < 0) == (p_value < 0.2)
        other = difference(second, first, 0.8)
        assert (other.low, other.high) == pytest.approx((-found.high, -found.low))


@pytest.mark.parametrize("values", [[0.001] * 8, [0.1, 0.2 - 0.1, 0.3 - 0.2, 0.1, 0.1], [1.0, 2.0, 3.0, 4.0]])
def test_ties_and_few_seeds_have_no_interval(values: list[float]) -> None:
    spread = [1.0, 2.0, 3.0, 4.0, 5.0]
    for pair in ((values, spread), (spread, values)):
        found = difference(*pair)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        assert found.mean == pytest.approx(np.mean(pair[0]) - np.mean(pair[1]))
    items = np.repeat(np.array(values)[:, None], 3, axis=1)
    assert math.isnan(hierarchical(items, np.add.outer(spread, [0.0, 1.0, 2.0])).low)
    (verdict,) = decide([compared(values, relevant=0.5)])
    assert verdict.word == "no verdict"
    assert "interval" not in paragraph(verdict)
    assert verdict.seeds_needed is None


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_is_a_share(level: float) -> None:
    with pytest.raises(ValueError, match="expected a number between 0 and 1"):
        difference([1.0] * 5, [2.0] * 5, level)


# Power


def test_the_protocols_own_numbers() -> None:
    # studies/PROTOCOL.md: with the first edition's deviations 1 point on clothes, in a family of eight questions.
    _, runs = kept_study("images")
    clothes = [
        [100 * run.metrics["test_accuracy"] for run in runs if run.variant == name]
        for name in ("euler-6x1", "lie-trotter-6x1")
    ]
    spreads = (float(np.std(clothes[0], ddof=1)), float(np.std(clothes[1], ddof=1)))
    found = [power(1.0, spreads, counts, 1 - 0.05 / 8) for counts in ((20, 20), (10, 10))]
    assert found == pytest.approx([0.94, 0.54], abs=0.02)


@pytest.mark.parametrize(
    ("spreads", "counts"), [((1.0, 1.0), (5, 5)), ((0.5, 2.0), (10, 10)), ((1.0, 1.0), (20, 10)), ((2.0, 0.7), (6, 15))]
)
def test_power_is_how_often_simulated_studies_find_it(spreads: tuple[float, float], counts: tuple[int, int]) -> None:
    trials, effect, level = 20_000, 1.7, 0.99
    arms = [RNG.normal(mean, s, (trials, n)) for mean, s, n in zip((effect, 0), spreads, counts, strict=True)]
    with_level = stats.ttest_ind(*arms, axis=1, equal_var=False).confidence_interval(level)
    found = float(np.mean(with_level.low > 0))
    assert power(effect, spreads, counts, level) == pytest.approx(found, abs=4 * math.sqrt(0.25 / trials))
    assert power(-effect, spreads, counts, level) == power(effect, spreads, counts, level)


def test_power_without_an_effect_is_half_of_the_error() -> None:
    assert power(0.0, (1.0, 1.0), (20, 20), 0.95) == pytest.approx(0.025, rel=0.01)
    assert power(0.0, (1.0, 2.0), (5, 9), 0.95) == pytest.approx(0.025, rel=0.1)  # Welch's test is not exact


@given(st.floats(0.3, 3), st.floats(0.5, 2), st.floats(0.5, 2), st.floats(0.9, 0.999))
def test_so_many_seeds_are_enough_and_one_fewer_is_not(effect: float, one: float, other: float, level: float) -> None:
    count = seeds_needed(effect, (one, other), level)
    assert power(effect, (one, other), (count, count), level) >= 0.8
    assert count == 5 or power(effect, (one, other), (count - 1, count - 1), level) < 0.8


def test_no_number_of_seeds_sees_nothing() -> None:
    with pytest.raises(ValueError, match="the effect is 0"):
        seeds_needed(0.0, (1.0, 1.0))
    with pytest.raises(ValueError, match="expected positive ones"):
        power(1.0, (0.0, 1.0), (5, 5))


# Simulated data


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(5, 5), (20, 10)])
def test_the_interval_of_a_difference_holds_it_in_95_of_100_cases(sizes: tuple[int, int]) -> None:
    trials = 2000
    found = [
        difference(RNG.normal(0.3, 1.0, sizes[0]).tolist(), RNG.normal(0, 2, sizes[1]).tolist()) for _ in range(trials)
    ]
    assert np.mean([f.low <= 0.3 <= f.high for f in found]) == pytest.approx(0.95, abs=0.02)  # four standard errors


def hits(count: int, easy: Any, spreads: tuple[float, float, float]) -> Any:
    """Hits of networks: each item has its difficulty, for all and for this variant, each seed its skill."""
    seed, item, interplay = spreads
    skill = RNG.normal(0, seed, (count, 1)) + RNG.normal(0, item, len(easy))
    return (1.0 + easy + skill + RNG.normal(0, interplay, (count, len(easy))) > 0).astype(int)


def coverage(counts: tuple[int, int], spreads: tuple[float, float, float], trials: int, items: int) -> list[float]:
    """How often the true difference, 0, is held: by seeds and items, and by seeds alone."""
    held = np.zeros(2)
    for _ in range(trials):
        easy = RNG.normal(size=items)
        arms = [hits(count, easy, spreads) for count in counts]
        both = hierarchical(*arms, resamples=200), difference(*(arm.mean(1).tolist() for arm in arms))
        held += [found.low <= 0 <= found.high for found in both]
    return list(held / trials)


def test_seeds_and_items_together_are_held_where_seeds_alone_are_not() -> None:
    both, alone = coverage((12, 9), (0.03, 0.5, 0.3), trials=150, items=200)
    assert both >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / 150)
    assert alone < 0.75


@pytest.mark.slow
@pytest.mark.parametrize("counts", [(5, 5), (10, 10), (20, 20), (20, 10)])
@pytest.mark.parametrize("spreads", [(0.03, 0.1, 0.5), (0.03, 0.5, 0.3), (0.1, 0.2, 0.5)])
def test_the_coverage_that_the_docstring_names(counts: tuple[int, int], spreads: tuple[float, float, float]) -> None:
    both, _ = coverage(counts, spreads, trials=600, items=400)
    assert both == pytest.approx(0.95, abs=0.01 + 3 * math.sqrt(0.95 * 0.05 / 600))


def test_the_error_over_seeds_and_items_is_that_of_the_variances() -> None:
    # Deviations of seeds 0.5, items 2 (of each variant) and interplay 1, so 2 (0.25 / 8 + 4 / 500 + 1 / 4000) squared.
    widths = []
    for _ in range(40):
        arms = [RNG.normal(0, 0.5, (8, 1)) + RNG.normal(0, 2, 500) + RNG.normal(0, 1, (8, 500)) for _ in range(2)]
        found = hierarchical(*arms, resamples=400)
        widths.append((found.high - found.low) / 2)
    error = math.sqrt(2 * (0.25 / 8 + 4 / 500 + 1 / 4000))
    assert np.mean(widths) == pytest.approx(error * stats.t.ppf(0.975, 20), rel=0.12)


def test_a_bleu_has_its_own_noise() -> None:
    pytest.importorskip("sacrebleu")
    from odelib.data import bleu, bleu_counts

    words = "a b c d e f g h".split()
    references = [" ".join(RNG.choice(words, 9)) for _ in range(60)]

    def translated(wrong: Any) -> list[str]:
        pairs = zip(references, wrong, strict=True)
        return [" ".join(str(RNG.choice(words)) if RNG.random() < p else w for w in t.split()) for t, p in pairs]

    difficulty = RNG.random((2, 60)) * [[0.3], [0.6]]  # of each sentence for each variant
    texts = [[translated(wrong) for _ in range(5)] for wrong in difficulty]
    arms = [np.array([bleu_counts(text, references) for text in arm]) for arm in texts]
    scores = [[bleu(text, references).score for text in arm] for arm in texts]
    found, by_seeds = hierarchical(*arms, resamples=100), difference(*scores)
    assert found.mean == pytest.approx(by_seeds.mean)
    assert found.low < by_seeds.low < by_seeds.high < found.high
    assert found == hierarchical(*arms, resamples=100)


def test_only_variants_of_the_same_items_are_compared() -> None:
    with pytest.raises(ValueError, match=r"\(5, 3\) and \(5, 4\), expected \(seeds, items\) with the same items"):
        hierarchical(np.ones((5, 3)), np.ones((5, 4)))


def compared(gains: list[float], relevant: float = 0.0, metric: str = "test_accuracy") -> Comparison:
    """A variant that is ahead of another, of mean 0 and deviation 1e-5, by these gains."""
    claim = Claim("A is better than B.", "a", "b", ("here",), ("parameters",), relevant)
    cost = Cost(100, 4.0, 1e6)
    base = [1e-5, -1e-5] * 3 + [0.0]
    values = dict(enumerate(float(gain) for gain in gains))
    return Comparison(claim, "here", metric, values, dict(enumerate(base)), (cost, cost))


def normal(gain: float, spread: float, relevant: float = 0.0, count: int = 5) -> Comparison:
    """Two variants of equal spread."""
    claim = Claim("", "a", "b", ("here",), (), relevant)
    arms = [dict(enumerate(RNG.normal(mean, spread, count).tolist())) for mean in (gain, 0.0)]
    return Comparison(claim, "here", "test_accuracy", *arms, None)


@pytest.mark.slow
def test_under_the_null_a_whole_study_seldom_decides_anything() -> None:
    # Ten claims of no true gain, and none that would matter: one decided wrongly is one too many.
    trials, wrong = 200, 0
    for _ in range(trials):
        wrong += any(verdict.word != "undecided" for verdict in decide([normal(0.0, 1.0) for _ in range(10)]))
    assert wrong / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


@pytest.mark.slow
def test_with_few_test_images_a_study_of_no_gain_seldom_decides_anything() -> None:
    # 1,000 test images, so scores are multiples of a thousandth and often equal; twenty claims.
    claim = Claim("", "a", "b", ("here",))
    trials, wrong = 200, 0
    for _ in range(trials):
        scores = RNG.binomial(1000, 0.85, size=(20, 2, 5)) / 1000
        study = [Comparison(claim, "here", "test_accuracy", *(dict(enumerate(a)) for a in s), None) for s in scores]
        wrong += any(verdict.word not in ("undecided", "no verdict") for verdict in decide(study))
    assert wrong / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


def test_true_gains_are_found_and_true_absences_too() -> None:
    found = [
        [verdict.word for verdict in decide([normal(1.0, 0.2), normal(-1.0, 0.2), normal(0.0, 0.2, relevant=1.0)])]
        for _ in range(200)
    ]
    for place, word in enumerate(("supported", "worse", "smaller than matters")):
        assert np.mean([words[place] == word for words in found]) > 0.95


def test_an_undecided_claim_names_the_seeds_that_would_decide_it() -> None:
    (verdict,) = decide([normal(0.4, 1.0, relevant=0.5, count=6)], questions=4)
    first, second = (float(np.std(values, ddof=1)) for values in verdict.comparison.values)
    needed = verdict.seeds_needed
    distance = max(abs(verdict.gain.mean), 0.5 - verdict.gain.mean)
    assert needed == seeds_needed(distance, (first, second), 1 - 0.05 / 4)
    assert f"{needed:,} seeds of each would decide" in paragraph(verdict)


def test_the_family_sets_the_level_and_not_the_runs_that_are_here() -> None:
    (alone,) = decide([normal(1.0, 1.0)])
    for verdicts in (decide([alone.comparison], questions=8), decide([alone.comparison] * 8)):
        gain = verdicts[0].gain
        assert gain.level == pytest.approx(1 - 0.05 / 8)
        assert gain == difference(*alone.comparison.values, 1 - 0.05 / 8)
        assert gain.low < alone.gain.low < alone.gain.high < gain.high
    with pytest.raises(ValueError, match="there are 2 comparisons in a family of 1 questions"):
        decide([alone.comparison] * 2, questions=1)
    assert decide([]) == []


# In words


def words(comparison: Comparison) -> str:
    (verdict,) = decide([comparison])
    return paragraph(verdict)


@pytest.mark.parametrize(
    ("gains", "relevant", "head", "why"),
    [
        ([0.02, 0.021, 0.019, 0.02, 0.02], 0.0, "Supported: over 5 and 7 seeds", "2.00 points higher than"),
        ([0.02, 0.021, 0.019, 0.02, 0.02], 0.01, "Supported, by at least what matters: ", "interval of the gain: +1."),
        ([0.02, 0.021, 0.019, 0.02, 0.02], 0.03, "Supported, by less than matters: ", "95 % interval"),
        ([0.02, 0.021, 0.019, 0.02, 0.02], 0.02, "Supported, by less or more than matters: ", "95 % interval"),
        ([-0.02, -0.021, -0.019, -0.02, -0.02], 0.01, "Worse: ", "2.00 points lower than that of `b`"),
        ([0.0, 0.001, -0.001, 0.0, 0.0], 0.01, "Smaller than matters: ", "A gain of 1 points or more is excluded."),
        ([0.02, -0.02, 0.01, 0.0, 0.01], 0.01, "Undecided: ", "seeds of each would decide with a probability of"),
        ([0.02, -0.02, 0.01], 0.01, "No verdict: over 3 and 7 seeds", "At least 5 seeds of each are needed."),
        ([0.02] * 5, 0.01, "No verdict: over 5 and 7 seeds", "Equal values have no spread to judge by."),
        ([], 0.0, "No verdict: `a` or `b` has no run in `here` yet.", ""),
    ],
)
def test_the_verdicts_in_words(gains: list[float], relevant: float, head: str, why: str) -> None:
    text = words(compared(gains, relevant))
    assert text.startswith(head)
    assert why in text
    assert not gains or text.endswith("Held equal: parameters, field evaluations, FLOPs.")


def test_a_lower_loss_is_the_better_one() -> None:
    (verdict,) = decide([compared([-0.2, -0.21, -0.19, -0.2, -0.2], metric="test_loss")])
    assert verdict.word == "supported"
    assert "the mean test loss of `a` is 0.20 lower" in paragraph(verdict)


def test_each_variant_has_its_own_seeds() -> None:
    claim = Claim("", "a", "b", ("here",))
    found = Comparison(claim, "here", "bleu", {7: 1.0, 1: 2.0, 2: 9.0}, {3: 1.0, 2: 8.5}, None)
    assert found.values == ([2.0, 9.0, 1.0], [8.5, 1.0])
    (verdict,) = decide([found])
    assert verdict.gain.counts == (3, 2)


def test_what_is_held_equal_is_measured_not_believed() -> None:
    first, second = Cost(100, 4.0, 1e6), Cost(100, 16.0, 4e6)
    assert held_equal(first, first) == ("parameters", "field evaluations", "FLOPs")
    assert held_equal(first, second) == ("parameters",)
    assert held_equal(first, Cost(101, 4.0, 1.005e6)) == ("field evaluations", "FLOPs")
    claim = Claim("", "a", "b", ("here",), ("field evaluations",))
    comparison = Comparison(claim, "here", "test_accuracy", {0: 1.0}, {0: 0.0}, (first, second))
    text = paragraph(decide([comparison])[0])
    assert "The claim asks for equal field evaluations, which these two variants do not have." in text
