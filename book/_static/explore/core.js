// A transformer as a differential equation, and the ways to follow one: all that the book's pages compute with.
//
//     x(0) = embed(input),    dx/dt = A(t, x) + M(t, x),    output = head(x(T))
//
// States, stages and weights are flat typed arrays, row by row: the entry (i, j) of a state of n tokens of width d is
// x[i * d + j]. A field is a function (t, x, out) that writes dx/dt at (t, x) into `out` and keeps nothing of x, so that
// a picture that moves sixty times a second asks for memory once. The names are those of the library `odelib`, with
// which each function here is compared.

// ---- from numbers to a layer ------------------------------------------------------------------------------------

/** y = x W^T + b for each of the rows of x: W has a row for each of the `width` outputs, as PyTorch keeps it. */
export function linear(x, weight, bias, out, rows, depth, width) {
  for (let i = 0; i < rows; i++) {
    const from = i * depth;
    const to = i * width;
    let j = 0;
    // Four outputs at a time: each number of x is read once for the four, and their sums do not wait for each other.
    for (; j + 4 <= width; j += 4) {
      let p = j * depth,
        q = p + depth,
        r = q + depth,
        s = r + depth;
      let a = 0,
        b = 0,
        c = 0,
        d = 0;
      for (let k = from; k < from + depth; k++) {
        const entry = x[k];
        a += entry * weight[p++];
        b += entry * weight[q++];
        c += entry * weight[r++];
        d += entry * weight[s++];
      }
      out[to + j] = a;
      out[to + j + 1] = b;
      out[to + j + 2] = c;
      out[to + j + 3] = d;
    }
    for (; j < width; j++) {
      let total = 0;
      for (let k = 0; k < depth; k++) total += x[from + k] * weight[j * depth + k];
      out[to + j] = total;
    }
    if (bias) for (j = 0; j < width; j++) out[to + j] += bias[j];
  }
  return out;
}

/** Each row of x moved to mean 0 and variance 1 (eps is added to the variance), then times gain plus shift. */
export function layerNorm(x, gain, shift, eps, out, rows, width) {
  for (let i = 0; i < rows; i++) {
    const from = i * width;
    let mean = 0;
    for (let k = 0; k < width; k++) mean += x[from + k];
    mean /= width;
    let variance = 0;
    for (let k = 0; k < width; k++) variance += (x[from + k] - mean) ** 2;
    const scale = 1 / Math.sqrt(variance / width + eps);
    for (let k = 0; k < width; k++)
      out[from + k] = (x[from + k] - mean) * scale * (gain ? gain[k] : 1) + (shift ? shift[k] : 0);
  }
  return out;
}

/** The error function to 1.5e-7 (Abramowitz and Stegun 1964, formula 7.1.26). */
export function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - series * Math.exp(-x * x));
}

/** x times the probability that a normal number is less than x: GELU itself, not its approximation by tanh. */
export const gelu = (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2));

/** The first `count` entries of `scores` from `from` on become positive numbers of sum 1, larger for larger scores. */
export function softmax(scores, from, count) {
  let most = -Infinity;
  for (let j = from; j < from + count; j++) most = Math.max(most, scores[j]);
  let sum = 0;
  for (let j = from; j < from + count; j++) sum += scores[j] = Math.exp(scores[j] - most);
  for (let j = from; j < from + count; j++) scores[j] /= sum;
  return scores;
}

/** Memory that is asked for again and again: the same array as long as it is large enough. */
function scratch() {
  let kept = new Float64Array(0);
  return (length) => (kept.length >= length ? kept : (kept = new Float64Array(length)));
}

/**
 * Keys and values of the tokens that were read before, so that a new token costs one token.
 *
 * Every evaluation of attention in one pass through the network has a slot of its own, in the order in which they come:
 * a step of RK4 has four, one for each stage. So a cache belongs to one step rule and one number of steps.
 */
export class Cache {
  constructor() {
    this.slots = [];
    this.length = 0; // tokens kept
    this.next = 0; // the slot whose turn it is
  }

  /** Call before each pass. `length` keeps that many tokens and forgets the later ones: those behind an edited letter. */
  begin(length = this.length) {
    this.length = Math.min(length, this.length);
    this.next = 0;
  }

  /** Call after each pass: its tokens now belong to those read before. */
  end(tokens) {
    this.length += tokens;
  }

  /** Takes the keys and values of `tokens` new tokens, inside rows (q, k, v); returns all so far, as rows (k, v). */
  extend(qkv, tokens, dim) {
    const needed = (this.length + tokens) * 2 * dim;
    let slot = this.slots[this.next];
    if (!slot || slot.length < needed) {
      const larger = new Float32Array(Math.max(needed, slot ? 2 * slot.length : 64 * dim));
      if (slot) larger.set(slot);
      slot = this.slots[this.next] = larger;
    }
    this.next++;
    for (let i = 0; i < tokens; i++)
      for (let k = 0; k < 2 * dim; k++) slot[(this.length + i) * 2 * dim + k] = qkv[i * 3 * dim + dim + k];
    return slot;
  }
}

/**
 * Multi-head attention from rows (q, k, v) to rows of the heads side by side: softmax(q k^T / sqrt(width)) v.
 *
 * With `causal` a token reads only itself and those before it. With a cache it reads the tokens kept there, too.
 */
export function attend(qkv, out, tokens, dim, { heads, causal = false, cache = null, scores = new Float64Array(0) }) {
  const width = dim / heads;
  const before = cache ? cache.length : 0;
  const rows = cache ? cache.extend(qkv, tokens, dim) : qkv; // keys and values stand at the end of each row
  const stride = cache ? 2 * dim : 3 * dim;
  const keyAt = stride - 2 * dim;
  const all = before + tokens;
  if (scores.length < all) scores = new Float64Array(all);
  out.fill(0, 0, tokens * dim);
  for (let head = 0; head < heads; head++)
    for (let i = 0; i < tokens; i++) {
      const q = i * 3 * dim + head * width;
      const read = causal ? before + i + 1 : all;
      for (let j = 0; j < read; j++) {
        const k = j * stride + keyAt + head * width;
        let dot = 0;
        for (let c = 0; c < width; c++) dot += qkv[q + c] * rows[k + c];
        scores[j] = dot / Math.sqrt(width);
      }
      softmax(scores, 0, read);
      const to = i * dim + head * width;
      for (let j = 0; j < read; j++) {
        const v = j * stride + keyAt + dim + head * width;
        for (let c = 0; c < width; c++) out[to + c] += scores[j] * rows[v + c];
      }
    }
  return out;
}

/** A field that is the sum of others, which step rules of the splitting kind follow one after the other. */
export function sum(...terms) {
  const memory = scratch();
  const [first, ...others] = terms;
  const field = (t, x, out) => {
    first(t, x, out);
    for (const term of others) {
      const part = memory(x.length);
      term(t, x, part);
      for (let i = 0; i < x.length; i++) out[i] += part[i];
    }
  };
  field.terms = terms;
  return field;
}

/**
 * The field of one transformer layer, A(x) + M(x) with A = MHA(LN x) and M = MLP(LN x), each with its own LayerNorm.
 *
 * An Euler step of size 1 is the parallel layer, a Lie-Trotter step the usual pre-norm layer.
 *
 * @param weights typed arrays by the names that `odelib` gives them, such as "attention.sublayer.qkv.weight".
 * @param options heads; causal; eps of the norms; prefix of the names, such as "depth.fields.0."; a Cache.
 */
export function transformerField(weights, { heads, causal = false, eps = 1e-6, prefix = "", cache = null }) {
  const take = (name) => weights[prefix + name];
  const gain = (term) => [take(`${term}.norm.weight`), take(`${term}.norm.bias`)];
  const map = (name) => [take(`${name}.weight`), take(`${name}.bias`)];
  const [qkv, proj] = [map("attention.sublayer.qkv"), map("attention.sublayer.proj")];
  const [fc1, fc2] = [map("mlp.sublayer.fc1"), map("mlp.sublayer.fc2")];
  const [norm1, norm2] = [gain("attention"), gain("mlp")];
  const dim = norm1[0].length;
  const hidden = fc1[1].length;
  const [normed, wide, mixed, scores] = [scratch(), scratch(), scratch(), scratch()];

  const attention = (t, x, out) => {
    const n = x.length / dim;
    const z = layerNorm(x, ...norm1, eps, normed(x.length), n, dim);
    const rows = linear(z, ...qkv, wide(3 * x.length), n, dim, 3 * dim);
    const memory = scores(n + (cache ? cache.length : 0));
    const heard = attend(rows, mixed(x.length), n, dim, { heads, causal, cache, scores: memory });
    linear(heard, ...proj, out, n, dim, dim);
  };

  const mlp = (t, x, out) => {
    const n = x.length / dim;
    const z = layerNorm(x, ...norm2, eps, normed(x.length), n, dim);
    const units = linear(z, ...fc1, wide(n * hidden), n, dim, hidden);
    for (let i = 0; i < n * hidden; i++) units[i] = gelu(units[i]);
    linear(units, ...fc2, out, n, hidden, dim);
  };

  return sum(attention, mlp);
}

// ---- step rules -------------------------------------------------------------------------------------------------

/** Explicit Runge-Kutta methods as data: k_i = f(t + c_i h, x + h sum_j a_ij k_j), x' = x + h sum_i b_i k_i. */
export const TABLEAUS = {
  euler: { order: 1, a: [[]], b: [1] },
  midpoint: { order: 2, a: [[], [1 / 2]], b: [0, 1] },
  heun: { order: 2, a: [[], [1]], b: [1 / 2, 1 / 2] },
  rk4: { order: 4, a: [[], [1 / 2], [0, 1 / 2], [0, 0, 1]], b: [1 / 6, 1 / 3, 1 / 3, 1 / 6] },
  // Dormand and Prince 1980. The last stage is the field at the result, and `error` estimates what a step misses.
  dopri5: {
    order: 5,
    a: [
      [],
      [1 / 5],
      [3 / 40, 9 / 40],
      [44 / 45, -56 / 15, 32 / 9],
      [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
      [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
      [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
    ],
    b: [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0],
    error: [71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40],
  },
};
for (const tableau of Object.values(TABLEAUS)) tableau.c = tableau.a.map((row) => row.reduce((sum, x) => sum + x, 0));

/** Splittings as data: which term is followed for which part of the step. */
export const SPLITTINGS = {
  "lie-trotter": (terms) => terms.map((_, i) => [i, 1]),
  strang: (terms) => {
    const halves = terms.slice(1).map((_, i) => [i + 1, 1 / 2]);
    return [...[...halves].reverse(), [0, 1], ...halves];
  },
};

/** A step of a tableau: returns step(t, h, x), which moves x in place; step.stages holds the k_i. */
function rungeKutta(tableau, field, length) {
  const { a, b, c } = tableau;
  const used = b.map((weight, i) => weight !== 0 || a.some((row) => row[i])); // dopri5's last stage waits for adaptive steps
  const stages = a.map(() => new Float64Array(length));
  const at = new Float64Array(length);
  const reach = (x, h, weights, out) => {
    for (let k = 0; k < length; k++) {
      let slope = 0;
      for (let j = 0; j < weights.length; j++) slope += weights[j] * stages[j][k];
      out[k] = x[k] + h * slope;
    }
  };
  const step = (t, h, x) => {
    for (let i = 0; i < a.length; i++)
      if (used[i]) field(t + c[i] * h, i === 0 ? x : (reach(x, h, a[i], at), at), stages[i]);
    reach(x, h, b, x);
  };
  return Object.assign(step, { stages, reach });
}

/**
 * One step of a rule: returns step(t, h, x), which moves x in place.
 *
 * @param rule "euler", "midpoint", "heun", "rk4", "dopri5", "lie-trotter", "strang", or a splitting with the rule of its
 *     sub-steps, such as "strang(midpoint)"; without one these are Euler steps, as in the layers that are built.
 * @param field the field; a splitting needs one with `terms`.
 * @param length of the state.
 */
export function stepper(rule, field, length) {
  const [, scheme, substep = "euler"] = /^([\w-]+?)(?:\((\w+)\))?$/.exec(rule) ?? [];
  if (scheme in TABLEAUS) return rungeKutta(TABLEAUS[scheme], field, length);
  if (!(scheme in SPLITTINGS) || !(substep in TABLEAUS))
    throw new Error(
      `there is no step rule ${rule}: take one of ${[...Object.keys(TABLEAUS), ...Object.keys(SPLITTINGS)].join(", ")}`,
    );
  if (!field.terms)
    throw new Error(`${rule} follows the terms of a field one after the other: make the field with sum(A, M)`);
  const steps = field.terms.map((term) => rungeKutta(TABLEAUS[substep], term, length));
  const moves = SPLITTINGS[scheme](field.terms);
  return (t, h, x) => {
    const clocks = field.terms.map(() => t); // each term has its own, so that the order holds for fields that know the time
    for (const [i, part] of moves) {
      steps[i](clocks[i], part * h, x);
      clocks[i] += part * h;
    }
  };
}

/**
 * Follow a field from x0 at t0 to t1 in equal steps; returns the state there and leaves x0 as it is.
 *
 * @param options rule; steps; each(t, x), called at t0 and after each step with the state, which it has to copy.
 */
export function integrate(field, x0, t0, t1, { rule = "rk4", steps = 1, each = null } = {}) {
  const x = Float64Array.from(x0);
  const step = stepper(rule, field, x.length);
  const h = (t1 - t0) / steps;
  each?.(t0, x);
  for (let n = 0; n < steps; n++) {
    step(t0 + n * h, h, x);
    each?.(n + 1 === steps ? t1 : t0 + (n + 1) * h, x);
  }
  return x;
}

/**
 * Steps whose size follows from what Dormand and Prince's pair says that they miss: an object that goes on from where it
 * is. `advance(t1, most)` takes at most so many steps towards t1, moves `x` and `t`, and returns whether it is there.
 */
export class Adaptive {
  constructor(field, x0, t0, { rtol = 1e-5, atol = 1e-7 } = {}) {
    this.x = Float64Array.from(x0);
    this.t = t0;
    this.size = 0; // of the next step; 0: not known yet
    this.accepted = this.rejected = 0;
    this.field = field;
    this.tolerance = { rtol, atol };
    this.step = rungeKutta(TABLEAUS.dopri5, field, this.x.length);
    this.tried = new Float64Array(this.x.length);
  }

  /** How large a vector is in units of the tolerance: the root of the mean square of its entries. */
  measure(vector, other = this.x) {
    const { rtol, atol } = this.tolerance;
    let sum = 0;
    for (let k = 0; k < vector.length; k++)
      sum += (vector[k] / (atol + rtol * Math.max(Math.abs(this.x[k]), Math.abs(other[k])))) ** 2;
    return Math.sqrt(sum / vector.length);
  }

  /** A step so short that the field changes little in it (Hairer, Nørsett and Wanner 1993, section II.4). */
  firstSize(span) {
    const slope = new Float64Array(this.x.length);
    const ahead = new Float64Array(this.x.length);
    this.field(this.t, this.x, slope);
    const [d0, d1] = [this.measure(this.x), this.measure(slope)];
    const h0 = Math.min(d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : (0.01 * d0) / d1, Math.abs(span));
    const there = this.x.map((value, k) => value + Math.sign(span) * h0 * slope[k]);
    this.field(this.t + Math.sign(span) * h0, there, ahead);
    const largest = Math.max(d1, this.measure(ahead.map((value, k) => value - slope[k])) / h0);
    return Math.min(100 * h0, largest < 1e-15 ? Math.max(1e-6, h0 * 1e-3) : (0.01 / largest) ** (1 / 5));
  }

  advance(t1, most = Infinity) {
    const { error } = TABLEAUS.dopri5;
    const { tried, step, x } = this;
    if (this.t === t1) return true;
    this.size ||= this.firstSize(t1 - this.t);
    for (let n = 0; n < most; n++) {
      const left = t1 - this.t;
      const lands = this.size >= Math.abs(left);
      const h = lands ? left : Math.sign(left) * this.size;
      tried.set(x);
      step(this.t, h, tried);
      this.field(this.t + h, tried, step.stages[6]);
      let sum = 0;
      const { rtol, atol } = this.tolerance;
      for (let k = 0; k < x.length; k++) {
        let miss = 0;
        for (let i = 0; i < error.length; i++) miss += error[i] * step.stages[i][k];
        sum += ((h * miss) / (atol + rtol * Math.max(Math.abs(x[k]), Math.abs(tried[k])))) ** 2;
      }
      const size = Math.sqrt(sum / x.length);
      const factor = Math.min(10, Math.max(0.2, 0.9 * size ** (-1 / 5)));
      if (!(size <= 1)) {
        this.rejected++;
        this.size = Math.abs(h) * Math.min(factor, 1);
        if (!(Math.abs(h) > 1e-14 * Math.max(1, Math.abs(this.t))))
          throw new Error(`the step became too small at t = ${this.t}: look at the field there`);
        continue;
      }
      this.accepted++;
      x.set(tried);
      this.t = lands ? t1 : this.t + h;
      this.size = lands ? Math.max(Math.abs(h) * factor, this.size) : Math.abs(h) * factor;
      if (lands) return true;
    }
    return false;
  }
}

/** Follow a field from x0 at t0 to t1 in steps chosen by their error; returns the state there. */
export function integrateAdaptive(field, x0, t0, t1, { rtol = 1e-5, atol = 1e-7 } = {}) {
  const solve = new Adaptive(field, x0, t0, { rtol, atol });
  solve.advance(t1);
  return solve.x;
}
