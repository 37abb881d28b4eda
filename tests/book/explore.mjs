// Runs the modules of the explorables outside a browser. Reads {name: [job, argument, ...]} from the standard input, and
// writes {name: result}; typed arrays come and go as lists.
import { readFileSync } from "node:fs";
import * as core from "../../book/_static/explore/core.js";
import * as flock from "../../book/_static/explore/flock-field.js";
import * as race from "../../book/_static/explore/race-field.js";
import * as robot from "../../book/_static/explore/robot-moves.js";

const float32 = (weights) =>
  Object.fromEntries(Object.entries(weights).map(([name, list]) => [name, Float32Array.from(list)]));
const at = (field, t, x) => {
  const out = new Float64Array(x.length);
  field(t, Float64Array.from(x), out);
  return [...out];
};
const flockOf = ({ beta, dim, masked, places, pre }) => flock.flock(beta, { dim, masked, places, pre });

// Two terms that know the time, do not commute, and have no simple flow.
const curved = core.sum(
  (t, x, out) => out.set([Math.sin(x[1]) + t, -x[0]]),
  (t, x, out) => out.set([0.5 * x[1], Math.cos(x[0] + t)]),
);

const jobs = {
  erf: (list) => list.map(core.erf),
  terms: (weights, options, states) => {
    const field = core.transformerField(float32(weights), options);
    return states.map((x) => field.terms.map((term) => at(term, 0, x)));
  },
  follow: (weights, options, states, end, rules) => {
    const field = core.transformerField(float32(weights), options);
    return rules.map(([rule, steps]) => states.map((x) => [...core.integrate(field, x, 0, end, { rule, steps })]));
  },
  // One token after the other, each through the same steps, with keys and values kept; then from `again` on once more.
  cached: (weights, options, x, dim, rule, steps, again) => {
    const cache = new core.Cache();
    const field = core.transformerField(float32(weights), { ...options, cache });
    const out = new Float64Array(x.length);
    const read = (from) => {
      cache.begin(from / dim);
      for (let k = from; k < x.length; k += dim) {
        cache.begin();
        out.set(core.integrate(field, x.slice(k, k + dim), 0, 1, { rule, steps }), k);
        cache.end(1);
      }
    };
    read(0);
    out.fill(NaN, again * dim);
    read(again * dim);
    return [...out];
  },
  misses: (rules, counts) => {
    const exact = core.integrateAdaptive(curved, [0.3, -0.7], 0, 2, { rtol: 1e-13, atol: 1e-15 });
    const miss = (rule, steps) =>
      Math.hypot(...core.integrate(curved, [0.3, -0.7], 0, 2, { rule, steps }).map((value, k) => value - exact[k]));
    return rules.map((rule) => counts.map((steps) => miss(rule, steps)));
  },
  adaptive: (rtol, atol) => {
    const solve = new core.Adaptive(curved, [0.3, -0.7], 0, { rtol, atol });
    while (!solve.advance(2, 1));
    const whole = core.integrateAdaptive(curved, [0.3, -0.7], 0, 2, { rtol, atol });
    const back = core.integrateAdaptive(curved, solve.x, 2, 0, { rtol, atol });
    return { bySteps: [...solve.x], whole: [...whole], back: [...back], accepted: solve.accepted };
  },
  refused: (rule) => {
    try {
      core.stepper(rule, (t, x, out) => out.fill(0), 2);
    } catch (error) {
      return error.message;
    }
    return null;
  },
  flock: (options, states) => states.map((x) => at(flockOf(options), 0, x)),
  flow: (options, x, times, tolerances) => {
    const solve = new core.Adaptive(flockOf(options), x, 0, tolerances);
    return times.map((t) => {
      solve.advance(t);
      const places = flock.places(solve.x, options.dim);
      return { x: [...solve.x], places, energy: flock.energy(solve.x, options.beta, options.dim) };
    });
  },
  packed: (x) => {
    const text = flock.pack(x);
    const there = flock.unpack(text, x.length / 3);
    return {
      text,
      there: [...there],
      again: flock.pack(there),
      refused: ["", text.slice(1), `${text}A`, text.replace(/./, "€")].map((wrong) =>
        flock.unpack(wrong, x.length / 3),
      ),
    };
  },
  pairs: () =>
    Object.fromEntries(
      Object.entries(race.PAIRS).map(([name, pair]) => [
        name,
        pair.map((values, k) =>
          [
            [0.3, -1.2],
            [1.7, 0.4],
          ].map((x) => at(race.affine(values, "am"[k]), 0, x)),
        ),
      ]),
    ),
  race: (pair, start, layers, depth) => race.race(...race.PAIRS[pair], start, layers, depth).misses,
  robot: (drive) => robot.stops(robot.parse(drive)),
  orders: (counts) =>
    Object.fromEntries(
      Object.keys(robot.ORDERS).map((order) => [order, counts.map((n) => robot.stops(robot.around(order, n)).at(-1))]),
    ),
  brackets: (h) => [robot.bracket(h), robot.mended(h)].map((moves) => robot.stops(moves).at(-1)),
  written: (drive) => robot.write(robot.parse(drive)),
};

const asked = JSON.parse(readFileSync(0));
const answers = Object.entries(asked).map(([name, [job, ...given]]) => [name, jobs[job](...given)]);
console.log(JSON.stringify(Object.fromEntries(answers)));
