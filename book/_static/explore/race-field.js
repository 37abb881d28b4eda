// The fields of chapter 7 in the plane, and what the step rules make of them.
import { integrate, integrateAdaptive, sum } from "./core.js";

/** Three places at which each term is drawn as an arrow. What it is there says what it is everywhere, if it is affine. */
export const ANCHORS = {
  a: [
    [-1.5, -0.3],
    [1.2, -1.1],
    [-0.4, 1.3],
  ],
  m: [
    [-1.5, 0.8],
    [1.3, 1.5],
    [-0.2, -0.7],
  ],
};

/** The affine field b + S x that has the values v_1, v_2, v_3, a flat array, at the three anchors of "a" or "m". */
export function affine(v, term) {
  const [[x1, y1], [x2, y2], [x3, y3]] = ANCHORS[term];
  const area = (x2 - x1) * (y3 - y1) - (x3 - x1) * (y2 - y1);
  return (t, x, out) => {
    const second = ((x[0] - x1) * (y3 - y1) - (x3 - x1) * (x[1] - y1)) / area;
    const third = ((x2 - x1) * (x[1] - y1) - (x[0] - x1) * (y2 - y1)) / area;
    const first = 1 - second - third;
    out[0] = first * v[0] + second * v[2] + third * v[4];
    out[1] = first * v[1] + second * v[3] + third * v[5];
  };
}

const turn = (x, y) => [-0.9 * y, 0.9 * x];
const pull = (x, y) => [-0.4 - 0.5 * y, 0.2 - 0.5 * y];
const push = () => [-0.2, 0.8];
const hold = (x, y) => [0.9 * (1 - x), 0.9 * (-0.4 - y)];
const sideways = (x) => [-0.9 * x, 0];
const upwards = (x, y) => [0, 1.4 - 0.8 * y];
const pair = (a, m) => [ANCHORS.a.flatMap(([x, y]) => a(x, y)), ANCHORS.m.flatMap(([x, y]) => m(x, y))];

/** The pairs (A, M) of the chapter, each term as what it is at its anchors. */
export const PAIRS = {
  "A turns, M pulls": pair(turn, pull),
  "A pulls, M turns": pair(pull, turn),
  "A pushes, M holds": pair(push, hold),
  "A and M do not meet": pair(sideways, upwards),
};

export const RUNNERS = [
  ["parallel", "euler"],
  ["usual", "lie-trotter"],
  ["rk4", "rk4"],
];

/** Where the exact solution and the runners are at the end, and how far the runners are from it. */
export function race(a, m, start, layers, depth) {
  const field = sum(affine(a, "a"), affine(m, "m"));
  const exact = integrateAdaptive(field, start, 0, depth, { rtol: 1e-12, atol: 1e-14 });
  const ends = RUNNERS.map(([, rule]) => integrate(field, start, 0, depth, { rule, steps: layers }));
  return { exact, ends, misses: ends.map(([x, y]) => Math.hypot(x - exact[0], y - exact[1])) };
}

/** The ways that they go, as pairs (time, place): a usual layer goes along A for half of its time, and then along M. */
export function ways(a, m, start, layers, depth) {
  const [A, M] = [affine(a, "a"), affine(m, "m")];
  const field = sum(A, M);
  const way = (rule, steps) => {
    const path = [];
    integrate(field, start, 0, depth, { rule, steps, each: (t, x) => path.push([t, x[0], x[1]]) });
    return path;
  };
  const corners = [];
  const slope = new Float64Array(2);
  const h = depth / layers;
  for (const [t, x, y] of way("lie-trotter", layers)) {
    corners.push([t, x, y]);
    A(t, [x, y], slope);
    if (corners.length < 2 * layers) corners.push([t + h / 2, x + h * slope[0], y + h * slope[1]]);
  }
  return { exact: way("rk4", 96), parallel: way("euler", layers), usual: corners, rk4: way("rk4", layers) };
}
