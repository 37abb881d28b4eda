"""Right and wrong answers to assignment 5, by which its tests are tested. No student gets them."""

# %% q1 right: a tuple of names, more seeds
plan = {**plan, "variants": ("two", "four"), "seeds": 12}

# %% q1 right: other words
plan = {
    "variants": ["shared", "own"],
    "seeds": 5,
    "measure": "test accuracy on 500 clothes after three epochs",
    "question": "With 300 images, does one shared set of weights do better than four?",
}

# %% q1 right: a question on two lines
plan = {
    **plan,
    "question": "May a network learn its step size\nand end with a larger one than it had? ",
}

# %% q1 wrong: no question
plan = {**plan, "question": "We compare the method of Heun with the method of Euler."}

# %% q1 wrong: a question of two words
plan = {**plan, "question": "Which wins?"}

# %% q1 wrong: a measure of one word
plan = {**plan, "measure": "accuracy"}

# %% q1 wrong: three seeds
plan = {**plan, "seeds": 3}

# %% q1 wrong: half a seed
plan = {**plan, "seeds": 5.5}

# %% q1 wrong: one variant
plan = {**plan, "variants": ["heun"]}

# %% q1 wrong: three variants
plan = {**plan, "variants": ["euler", "heun", "rk4"]}

# %% q1 wrong: the same variant twice
plan = {**plan, "variants": ["heun", "heun"]}

# %% q1 wrong: no measure
plan = {key: value for key, value in plan.items() if key != "measure"}

# %% q1 wrong: nothing decided
plan = dict.fromkeys(plan, "")

# %% q3 right: in another order
runs = sorted(runs, key=lambda run: (run["seed"], run["variant"]), reverse=True)

# %% q3 right: values as tensors
runs = [{**run, "value": torch.tensor(run["value"])} for run in runs]

# %% q3 right: pasted from elsewhere
runs = [
    {
        "variant": variant,
        "seed": int(seed),
        "value": 0.3 + 0.01 * ((7 * seed) % 5) - 0.02 * (variant == "heun"),
    }
    for seed in seeds
    for variant in plan["variants"]
]

# %% q3 wrong: seeds from zero
runs = [{**run, "seed": run["seed"] - parameters["first_seed"]} for run in runs]

# %% q3 wrong: one variant is missing
runs = [run for run in runs if run["variant"] == plan["variants"][0]]

# %% q3 wrong: a seed fewer than planned
runs = [run for run in runs if run["seed"] != max(seeds)]

# %% q3 wrong: the worst run was left out
runs = sorted(runs, key=lambda run: run["value"])[:-1]

# %% q3 wrong: a run that went astray
runs = [{**runs[0], "value": math.nan}, *runs[1:]]

# %% q3 wrong: the same seed again and again
runs = [{**run, "seed": parameters["first_seed"]} for run in runs]

# %% q3 wrong: one value for all runs of a variant
runs = [{**run, "value": 0.3 if run["variant"] == "heun" else 0.4} for run in runs]

# %% q3 wrong: another name for a variant
runs = [{**run, "variant": run["variant"].upper()} for run in runs]

# %% q3 wrong: more runs than planned
runs = [*runs, {**runs[0], "seed": max(seeds) + 1}]

# %% q3 wrong: a third variant tried in passing
runs = [*runs, *({**run, "variant": "rk4"} for run in runs if run["variant"] == "heun")]


# %% q4 right: by torch
def interval(values, level):
    x = torch.tensor(values, dtype=torch.float64)
    t = float(stats.t.ppf(0.5 + level / 2, len(x) - 1))
    half = t * x.std(unbiased=True) / len(x) ** 0.5
    return float(x.mean()), float(x.mean() - half), float(x.mean() + half)


# %% q4 right: SciPy's own interval
def interval(values, level):
    import numpy as np

    low, high = stats.t.interval(
        level, len(values) - 1, loc=np.mean(values), scale=stats.sem(values)
    )
    return [np.mean(values), low, high]


# %% q4 right: sums written out
def interval(values, level):
    n = len(values)
    mean = sum(values) / n
    spread = (sum((v - mean) ** 2 for v in values) / (n - 1)) ** 0.5
    t = -stats.t.ppf((1 - level) / 2, df=n - 1)
    return mean, mean - t * spread / n**0.5, mean + t * spread / n**0.5


# %% q4 wrong: the normal distribution
def interval(values, level):
    mean, n = statistics.fmean(values), len(values)
    half = stats.norm.ppf((1 + level) / 2) * statistics.stdev(values) / math.sqrt(n)
    return mean, mean - half, mean + half


# %% q4 wrong: the spread of a population
def interval(values, level):
    mean, n = statistics.fmean(values), len(values)
    half = stats.t.ppf((1 + level) / 2, n - 1) * statistics.pstdev(values) / math.sqrt(n)
    return mean, mean - half, mean + half


# %% q4 wrong: one-sided
def interval(values, level):
    mean, n = statistics.fmean(values), len(values)
    half = stats.t.ppf(level, n - 1) * statistics.stdev(values) / math.sqrt(n)
    return mean, mean - half, mean + half


# %% q4 wrong: the interval of a next value
def interval(values, level):
    mean, n = statistics.fmean(values), len(values)
    half = stats.t.ppf((1 + level) / 2, n - 1) * statistics.stdev(values) * math.sqrt(1 + 1 / n)
    return mean, mean - half, mean + half


# %% q4 wrong: n degrees of freedom
def interval(values, level):
    mean, n = statistics.fmean(values), len(values)
    half = stats.t.ppf((1 + level) / 2, n) * statistics.stdev(values) / math.sqrt(n)
    return mean, mean - half, mean + half


# %% q4 wrong: one standard error
def interval(values, level):
    mean, n = statistics.fmean(values), len(values)
    half = statistics.stdev(values) / math.sqrt(n)
    return mean, mean - half, mean + half


# %% q4 wrong: the smallest and the largest value
def interval(values, level):
    return statistics.fmean(values), min(values), max(values)


# %% q4 wrong: the level is always 95 percent
def interval(values, level):
    mean, n = statistics.fmean(values), len(values)
    half = stats.t.ppf(0.975, n - 1) * statistics.stdev(values) / math.sqrt(n)
    return mean, mean - half, mean + half


# %% q4 wrong: not divided by the root
def interval(values, level):
    mean, n = statistics.fmean(values), len(values)
    half = stats.t.ppf((1 + level) / 2, n - 1) * statistics.stdev(values)
    return mean, mean - half, mean + half


# %% q4 wrong: about the median
def interval(values, level):
    mean, n = statistics.median(values), len(values)
    half = stats.t.ppf((1 + level) / 2, n - 1) * statistics.stdev(values) / math.sqrt(n)
    return mean, mean - half, mean + half


# %% q5 right: as tensors
result = {name: torch.tensor(value, dtype=torch.float64) for name, value in result.items()}

# %% q5 right: by numpy
import numpy as np

table = {
    v: [r["value"] for r in sorted(runs, key=lambda r: r["seed"]) if r["variant"] == v]
    for v in plan["variants"]
}
gap = np.subtract(table[plan["variants"][1]], table[plan["variants"][0]])
low, high = stats.t.interval(
    parameters["level"], len(gap) - 1, gap.mean(), gap.std(ddof=1) / len(gap) ** 0.5
)
result = {"mean": gap.mean(), "low": low, "high": high}

# %% q5 right: written out
mean, low, high = interval(apart, parameters["level"])
result = {"low": low, "mean": mean, "high": high}

# %% q5 wrong: the first minus the second
result = {"mean": -result["mean"], "low": -result["high"], "high": -result["low"]}

# %% q5 wrong: not paired by seed
values = {v: [r["value"] for r in runs if r["variant"] == v] for v in plan["variants"]}
one, two = (values[v] for v in plan["variants"])
spread = math.sqrt((statistics.variance(one) + statistics.variance(two)) / len(one))
mean = statistics.fmean(two) - statistics.fmean(one)
t = stats.t.ppf((1 + parameters["level"]) / 2, 2 * len(one) - 2)
result = {"mean": mean, "low": mean - t * spread, "high": mean + t * spread}

# %% q5 wrong: of the second variant alone
mean, low, high = interval([by[second, seed] for seed in seeds], parameters["level"])
result = {"mean": mean, "low": low, "high": high}

# %% q5 wrong: another level
mean, low, high = interval(apart, 0.8)
result = {"mean": mean, "low": low, "high": high}

# %% q5 wrong: without the worst pair
mean, low, high = interval(sorted(apart)[1:], parameters["level"])
result = {"mean": mean, "low": low, "high": high}

# %% q5 wrong: in percent
result = {name: 100 * value for name, value in result.items()}

# %% q5 wrong: rounded to a whole
result = {
    "mean": round(result["mean"]),
    "low": round(result["mean"]) - 1,
    "high": round(result["mean"]) + 1,
}

# %% q5 wrong: ends exchanged
result = {"mean": result["mean"], "low": result["high"], "high": result["low"]}

# %% q5 wrong: relative differences
mean, low, high = interval([by[second, s] / by[first, s] - 1 for s in seeds], parameters["level"])
result = {"mean": mean, "low": low, "high": high}

# %% q5 wrong: the interval that one hoped for
result = {"mean": -0.02, "low": -0.03, "high": -0.01}
