"""Statistics against known answers, and against simulated data of which the truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from odelib.analysis.cost import Cost
from odelib.studies.statistics import above, below, difference, holm, summary
from odelib.studies.study import Claim
from odelib.studies.verdicts import Comparison, Verdict, decide, held_equal, paragraph

RNG = np.random.default_rng(1)


# Known answers


def test_mean_and_spread_of_a_sample() -> None:
    found = summary([1.0, 2.0, 3.0, 4.0])
    assert (found.count, found.mean) == (4, 2.5)
    assert found.std == pytest.approx(math.sqrt(5 / 3))
    assert 1.0 <= found.low < 2.5 < found.high <= 4.0
    assert found == summary([1.0, 2.0, 3.0, 4.0])  # the same table each time


def test_the_interval_of_two_values_is_what_can_be_counted() -> None:
    # The resampled means of (0, 1) are 0, 1/2, 1/2 and 1: each end has probability 1/4, more than 2.5 %.
    found = summary([0.0, 1.0])
    assert (found.low, found.high) == (0.0, 1.0)


def test_one_value_and_equal_values_have_no_spread() -> None:
    assert all(map(math.isnan, (summary([3.0]).std, summary([3.0]).low, summary([3.0]).high)))
    assert (summary([2.0] * 3).mean, summary([2.0] * 3).std) == (2.0, 0.0)


@pytest.mark.parametrize("values", [[], [1.0, math.nan]])
def test_no_values_and_nan_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="expected at least one, and finite numbers only"):
        summary(values)


def test_students_own_example() -> None:
    # Student (1908), The probable error of a mean: additional hours of sleep by two drugs, the same ten patients.
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    found = difference(second, first)
    assert found.mean == pytest.approx(1.58)
    assert found.p_value == pytest.approx(0.00283289, rel=1e-5)
    assert (found.low, found.high) == pytest.approx((0.7001142, 2.4598858), rel=1e-5)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=2, max_size=8))
def test_the_paired_test_is_scipys(pairs: list[tuple[float, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    gaps = np.subtract(first, second).tolist()
    found = difference(first, second)
    if np.std(gaps) > 1e-6:
        assert found.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-6)
        assert above(gaps, 0.0) + below(gaps, 0.0) == pytest.approx(1.0)


def test_a_single_pair_and_equal_pairs_decide_by_themselves() -> None:
    assert difference([1.0], [0.0]).p_value == 1.0
    assert difference([1.0, 2.0], [1.0, 2.0]).p_value == 1.0
    assert above([0.0, 0.0], 0.0) == below([0.0, 0.0], 0.0) == 1.0
    with pytest.raises(ValueError, match="2 and 1 values cannot be paired"):
        difference([1.0, 2.0], [1.0])


@pytest.mark.parametrize("gains", [[0.001, 0.001], [0.1, 0.2 - 0.1, 0.3 - 0.2], [-0.02] * 8])
def test_equal_differences_are_no_certainty(gains: list[float]) -> None:
    assert above(gains, 0.0) == below(gains, 0.0) == 1.0
    found = difference(gains, [0.0] * len(gains))
    assert found.p_value == 1.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert math.isnan(summary(gains).low)
    (verdict,) = decide([compared(gains, relevant=0.5)])
    assert verdict.word == "undecided"
    assert "95 % interval" not in paragraph(verdict)


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_fewer_than_five_seeds_decide_nothing(seeds: int) -> None:
    gains = (1.0 + 1e-6 * RNG.normal(size=seeds)).tolist()
    (verdict,) = decide([compared(gains)])
    assert verdict.p_better < 1e-3
    assert verdict.word == "undecided"
    assert f"With {seeds} seeds nothing is decided: at least 5 are needed." in paragraph(verdict)
    (asked,) = decide([compared(gains)], fewest=seeds)
    assert asked.word == "supported"


def test_with_few_test_images_a_study_of_no_gain_seldom_decides_anything() -> None:
    # 1,000 test images, so differences of seeds are multiples of a thousandth and often equal; twenty claims.
    for seeds in (2, 3, 5):
        trials, wrong = 200, 0
        for _ in range(trials):
            hits = RNG.binomial(1000, 0.85, size=(20, 2, seeds)) / 1000
            study = [compared((a - b).tolist(), relevant=0.0) for a, b in hits]
            wrong += any(verdict.word != "undecided" for verdict in decide(study))
        assert wrong / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.4]) == [0.4]
    with pytest.raises(ValueError, match="expected numbers in"):
        holm([1.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_none_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= c <= min(1.0, len(p_values) * p) + 1e-15 for p, c in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)


# Simulated data


def test_the_bootstrap_interval_holds_the_mean_as_often_as_its_docstring_says() -> None:
    def coverage(size: int, trials: int) -> float:
        found = [summary(RNG.normal(size=size).tolist(), resamples=499) for _ in range(trials)]
        return float(np.mean([f.low <= 0 <= f.high for f in found]))

    assert coverage(40, 600) == pytest.approx(0.94, abs=0.04)
    assert coverage(5, 600) == pytest.approx(0.84, abs=0.05)
    assert coverage(3, 600) == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize("size", [3, 5])
def test_the_interval_of_a_difference_holds_it_in_95_of_100_cases(size: int) -> None:
    trials = 2000
    hits = 0
    for _ in range(trials):
        seed = RNG.normal(size=size)  # shared by both, as a seed's weights are
        found = difference((seed + RNG.normal(0.3, 1.0, size)).tolist(), seed.tolist())
        hits += found.low <= 0.3 <= found.high
    assert hits / trials == pytest.approx(0.95, abs=0.02)  # four standard errors


def compared(gains: list[float], relevant: float = 0.0) -> Comparison:
    claim = Claim("A is better than B.", "a", "b", ("here",), ("parameters",), relevant)
    cost = Cost(100, 4.0, 1e6)
    values = dict(enumerate(float(gain) for gain in gains))
    return Comparison(claim, "here", "test_accuracy", values, dict.fromkeys(values, 0.0), (cost, cost))


def test_under_the_null_a_whole_study_seldom_decides_anything() -> None:
    # Ten claims of no true gain, and none that would matter: one decided wrongly is one too many.
    trials, wrong = 400, 0
    for _ in range(trials):
        study = [compared(list(RNG.normal(0.0, 1.0, 5)), relevant=0.0) for _ in range(10)]
        wrong += any(verdict.word != "undecided" for verdict in decide(study))
    assert wrong / trials <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)


def test_true_gains_are_found_and_true_absences_too() -> None:
    verdicts = [
        decide([compared(list(RNG.normal(1.0, 0.2, 5))), compared(list(RNG.normal(-1.0, 0.2, 5)), relevant=0.1)])
        for _ in range(200)
    ]
    assert np.mean([first.word == "supported" for first, _ in verdicts]) > 0.95
    assert np.mean([second.word == "not supported" for _, second in verdicts]) > 0.95


def test_more_claims_make_each_harder() -> None:
    gains = [0.3, 0.5, 0.4, 0.6, 0.1]
    (alone,) = decide([compared(gains)])
    crowd = decide([compared(gains), *(compared(list(RNG.normal(size=5))) for _ in range(20))])
    assert alone.word == "supported"
    assert crowd[0].p_better > alone.p_better


# In words


def words(comparison: Comparison) -> str:
    (verdict,) = decide([comparison])
    return paragraph(verdict)


def test_the_three_verdicts_in_words() -> None:
    text = words(compared([0.02, 0.021, 0.019, 0.02, 0.02]))
    assert text.startswith(
        "Supported: Over 5 shared seeds, the test accuracy of `a` is 2.00 points higher than that of"
    )
    assert "Held equal: parameters, field evaluations, FLOPs." in text
    text = words(compared([-0.02, -0.021, -0.019, -0.02, -0.02]))
    assert text.startswith("Not supported: Over 5 shared seeds, the test accuracy of `a` is 2.00 points lower")
    assert "The runs speak against any gain" in text
    text = words(compared([0.02, -0.02, 0.01]))
    assert text.startswith("Undecided at this sample size")
    assert "more seeds might decide" in text
    assert words(compared([])).startswith("Undecided: `a` and `b` share no seed")
    assert words(compared([0.1])).startswith("Undecided at this sample size: Over 1 shared seed,")


def test_a_lower_loss_is_the_better_one() -> None:
    better = compared([-0.2, -0.21, -0.19, -0.2, -0.2])
    loss = Comparison(better.claim, "here", "test_loss", better.better, better.than, better.costs)
    (verdict,) = decide([loss])
    assert verdict.word == "supported"
    assert "the test loss of `a` is 0.20 lower" in paragraph(verdict)


def test_only_shared_seeds_are_paired() -> None:
    claim = Claim("", "a", "b", ("here",))
    found = Comparison(claim, "here", "test_accuracy", {0: 1.0, 1: 2.0, 2: 9.0}, {1: 1.0, 2: 8.5, 3: 0.0}, None)
    assert found.seeds == [1, 2]
    assert found.gains == [1.0, 0.5]


def test_what_is_held_equal_is_measured_not_believed() -> None:
    first, second = Cost(100, 4.0, 1e6), Cost(100, 16.0, 4e6)
    assert held_equal(first, first) == ("parameters", "field evaluations", "FLOPs")
    assert held_equal(first, second) == ("parameters",)
    assert held_equal(first, Cost(101, 4.0, 1.005e6)) == ("field evaluations", "FLOPs")
    claim = Claim("", "a", "b", ("here",), ("field evaluations",))
    comparison = Comparison(claim, "here", "test_accuracy", {0: 1.0}, {0: 0.0}, (first, second))
    text = paragraph(Verdict(comparison, "undecided", 1.0, 1.0))
    assert "The claim asks for equal field evaluations, which these two variants do not have." in text
