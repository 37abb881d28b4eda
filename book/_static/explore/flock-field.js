// The flock of chapter 6: the field, its energy, and in how many places tokens stand.
import { gelu } from "./core.js";

/**
 * The field of a flock of tokens in `dim` dimensions: each moves towards the mean of what it sees, weighted by
 * exp(beta x_i . x_j), and along the sphere.
 *
 * @param options masked: a token sees itself and those before it. places: rows w_k of an MLP of three units,
 *     0.1 sum_k gelu(3 x . w_k) w_k. pre: pre-norm, the state is x in space and the field is read at x / |x|.
 */
export function flock(beta, { dim = 3, masked = false, places = null, pre = false } = {}) {
  let u = new Float64Array(0),
    total = u;
  return (t, x, out) => {
    const n = x.length / dim;
    if (u.length !== x.length) [u, total] = [new Float64Array(x.length), new Float64Array(n)];
    directions(x, dim, u);
    total.fill(1); // a token sees itself, with weight exp(beta (1 - 1)): all weights are taken relative to that
    out.set(u);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < i; j++) {
        let dot = 0;
        for (let c = 0; c < dim; c++) dot += u[i * dim + c] * u[j * dim + c];
        const weight = Math.exp(beta * (dot - 1)); // the same both ways, so it is computed once
        total[i] += weight;
        for (let c = 0; c < dim; c++) out[i * dim + c] += weight * u[j * dim + c];
        if (masked) continue;
        total[j] += weight;
        for (let c = 0; c < dim; c++) out[j * dim + c] += weight * u[i * dim + c];
      }
    for (let i = 0; i < n; i++) {
      const at = i * dim;
      for (let c = 0; c < dim; c++) out[at + c] /= total[i];
      for (let k = 0; places && k < places.length; k += dim) {
        let dot = 0;
        for (let c = 0; c < dim; c++) dot += u[at + c] * places[k + c];
        const push = 0.1 * gelu(3 * dot);
        for (let c = 0; c < dim; c++) out[at + c] += push * places[k + c];
      }
      if (pre) continue; // the length is free: it is a clock
      let along = 0;
      for (let c = 0; c < dim; c++) along += out[at + c] * u[at + c];
      for (let c = 0; c < dim; c++) out[at + c] -= along * u[at + c];
    }
  };
}

/** x / |x|, token by token. */
export function directions(x, dim = 3, out = new Float64Array(x.length)) {
  for (let at = 0; at < x.length; at += dim) {
    let square = 0;
    for (let c = 0; c < dim; c++) square += x[at + c] ** 2;
    const length = Math.sqrt(square);
    for (let c = 0; c < dim; c++) out[at + c] = x[at + c] / length;
  }
  return out;
}

/** The energy of the flock as a share of the largest, which it has where all tokens are in one place. */
export function energy(x, beta, dim = 3) {
  const u = directions(x, dim);
  const n = u.length / dim;
  let sum = n;
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      let dot = 0;
      for (let c = 0; c < dim; c++) dot += u[i * dim + c] * u[j * dim + c];
      sum += 2 * Math.exp(beta * (dot - 1));
    }
  return sum / n ** 2;
}

/** For each token the first of those in its place: two within the angle `gap` of each other are in one, and so are chains. */
export function groups(x, dim = 3, gap = 0.1) {
  const u = directions(x, dim);
  const n = u.length / dim;
  const near = Math.cos(gap);
  const parent = Array.from({ length: n }, (_, i) => i);
  const root = (i) => (parent[i] === i ? i : (parent[i] = root(parent[i])));
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      let dot = 0;
      for (let c = 0; c < dim; c++) dot += u[i * dim + c] * u[j * dim + c];
      if (dot > near) parent[Math.max(root(i), root(j))] = Math.min(root(i), root(j));
    }
  return parent.map((_, i) => root(i));
}

/** In how many places tokens stand. */
export const places = (x, dim = 3, gap = 0.1) => new Set(groups(x, dim, gap)).size;

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Tokens on the sphere as text that an address can hold: of each its longitude and its height, in twelve bits. */
export function pack(u) {
  let text = "";
  const write = (share) => {
    const whole = Math.round(4095 * share);
    text += DIGITS[whole >> 6] + DIGITS[whole & 63];
  };
  for (let at = 0; at < u.length; at += 3) {
    write(Math.atan2(u[at + 1], u[at]) / (2 * Math.PI) + 0.5);
    write((Math.min(Math.max(u[at + 2], -1), 1) + 1) / 2);
  }
  return text;
}

/** The tokens that such a text stands for; null if it is not one of `count` tokens. */
export function unpack(text, count) {
  if (!new RegExp(`^[\\w-]{${4 * count}}$`).test(text)) return null;
  const share = (k) => (64 * DIGITS.indexOf(text[k]) + DIGITS.indexOf(text[k + 1])) / 4095;
  const u = new Float64Array(3 * count);
  for (let i = 0; i < count; i++) {
    const [angle, height] = [2 * Math.PI * (share(4 * i) - 0.5), 2 * share(4 * i + 2) - 1];
    const wide = Math.sqrt(1 - height ** 2);
    u.set([wide * Math.cos(angle), wide * Math.sin(angle), height], 3 * i);
  }
  return u;
}
