// The book's trained networks in the page: their weights, and what they make of an image or of a text.
//
// A pack is a file in the format of safetensors: the length of a header, the header in JSON, and the numbers. The
// module `odelib.teaching.packs` writes them from the networks that the chapters use.

import { Cache, layerNorm, linear, softmax, stepper, transformerField } from "./core.js";

/** The numbers that float16 stands for. */
export function fromHalf(bits) {
  return Float32Array.from(bits, (half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
  });
}

/** A matrix from ten bits for each entry; each row begins with the step between neighbouring values (float16). */
export function fromTens(bytes, rows) {
  const stride = bytes.length / rows;
  const fours = (stride - 2) / 5;
  const out = new Float32Array(rows * fours * 4);
  for (let i = 0, to = 0; i < rows; i++) {
    let at = i * stride;
    const [step] = fromHalf([bytes[at] + 256 * bytes[at + 1]]);
    for (at += 2; at < (i + 1) * stride; at += 5)
      for (let j = 0; j < 4; j++) out[to++] = (bytes[at + j] + (((bytes[at + 4] >> (2 * j)) & 3) << 8) - 511) * step;
  }
  return out;
}

/** Reads a pack: `weights`, typed arrays by name, and `about`, what was written down beside them. */
export function readPack(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const { __metadata__: beside, ...entries } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const weights = {};
  for (const [
    name,
    {
      dtype,
      shape,
      data_offsets: [from, to],
    },
  ] of Object.entries(entries)) {
    const part = buffer.slice(8 + length + from, 8 + length + to);
    if (name.endsWith(".tens")) weights[name.slice(0, -5)] = fromTens(new Uint8Array(part), shape[0]);
    else if (dtype === "F16") weights[name] = fromHalf(new Uint16Array(part));
    else if (dtype === "F32") weights[name] = new Float32Array(part);
    else weights[name] = new Uint8Array(part);
  }
  return { weights, about: JSON.parse(beside?.about ?? "{}") };
}

/** Fetches a pack and reads it. */
export async function fetchPack(address) {
  const answer = await fetch(address);
  if (!answer.ok)
    throw new Error(`${new URL(address).pathname} could not be fetched (${answer.status}): reload the page`);
  return readPack(await answer.arrayBuffer());
}

/** What both kinds of network share: a field for each interval of depth, and an end of norm and head. */
class Network {
  constructor({ weights, about }, prefix, options = {}) {
    this.about = about;
    this.take = (name) => weights[prefix + name];
    this.dim = this.take("norm.weight").length;
    const { heads, eps } = about;
    const layer = (i) => transformerField(weights, { heads, eps, prefix: `${prefix}depth.fields.${i}.`, ...options });
    this.fields = Array.from({ length: about.intervals }, (_, i) => layer(i));
    this.steppers = new Map();
  }

  /** Moves the state x from the beginning of depth to its end, in place; each(x) sees it there and after each step. */
  through(x, rule, steps, each = null) {
    const key = `${rule} ${x.length}`;
    if (!this.steppers.has(key))
      this.steppers.set(
        key,
        this.fields.map((field) => stepper(rule, field, x.length)),
      );
    const h = this.about.length / steps;
    each?.(x);
    for (const step of this.steppers.get(key))
      for (let n = 0; n < steps; n++) {
        step(0, h, x); // no field here knows the time
        each?.(x);
      }
    return x;
  }

  normed(x) {
    const [gain, shift] = [this.take("norm.weight"), this.take("norm.bias")];
    return layerNorm(x, gain, shift, this.about.eps, new Float64Array(x.length), x.length / this.dim, this.dim);
  }
}

/** The mean of the rows of x. */
export function meanRow(x, width) {
  const mean = new Float64Array(width);
  for (let i = 0; i < x.length; i++) mean[i % width] += (x[i] * width) / x.length;
  return mean;
}

/** A small vision transformer: 28 x 28 pixels, 16 patches of 7 x 7, ten classes. */
export class Classifier extends Network {
  /** @param seed which of the pack's networks. */
  constructor(pack, seed) {
    super(pack, `${seed}.`);
  }

  /** The state at time 0, of pixels from 0 to 255 with the mean and the spread of the images. */
  embed(pixels, { mean: [mean], std: [std] }, side = 28, patch = 7) {
    const across = side / patch;
    const rows = new Float64Array(side * side);
    for (let y = 0, at = 0; y < across; y++)
      for (let x = 0; x < across; x++)
        for (let i = 0; i < patch; i++)
          for (let j = 0; j < patch; j++)
            rows[at++] = (pixels[(y * patch + i) * side + x * patch + j] / 255 - mean) / std;
    const [weight, bias, position] = ["patch.weight", "patch.bias", "position"].map((name) =>
      this.take(`embed.${name}`),
    );
    const out = new Float64Array(position.length);
    linear(rows, weight, bias, out, across * across, patch * patch, this.dim);
    return out.map((value, k) => value + position[k]);
  }

  /** The logits of the classes, from the state at the end of depth. */
  logits(x) {
    const [weight, bias] = [this.take("head.weight"), this.take("head.bias")];
    const mean = meanRow(this.normed(x), this.dim);
    return linear(mean, weight, bias, new Float64Array(bias.length), 1, this.dim, bias.length);
  }

  /** The mean token of x in the plane of the pack. */
  project(x) {
    const [plane, middle, mean] = [this.take("plane"), this.take("middle"), meanRow(x, this.dim)];
    return linear(
      mean.map((value, k) => value - middle[k]),
      plane,
      null,
      new Float64Array(2),
      1,
      this.dim,
      2,
    );
  }
}

/** The character model: reads a text letter by letter, and keeps what later letters need of the earlier ones. */
export class Writer extends Network {
  constructor(pack) {
    const cache = new Cache();
    super(pack, "", { causal: true, cache });
    this.cache = cache;
    this.letters = this.take("embed.token.weight").length / this.dim;
    this.places = this.take("embed.position").length / this.dim;
    this.solveWith(this.about.rule, this.about.steps);
  }

  /** Choose the rule and the steps in each layer. What was read is forgotten: it was read otherwise. */
  solveWith(rule, steps) {
    [this.rule, this.steps] = [rule, steps];
    this.cache.begin(0);
    this.cache.slots = [];
  }

  /** Reads the letter of that number at the next place; returns the logits of the letter after it. */
  read(letter) {
    const { dim, cache } = this;
    const [token, position] = [this.take("embed.token.weight"), this.take("embed.position")];
    const x = Float64Array.from({ length: dim }, (_, k) => token[letter * dim + k] + position[cache.length * dim + k]);
    cache.begin();
    this.through(x, this.rule, this.steps);
    cache.end(1);
    return linear(this.normed(x), token, null, new Float64Array(this.letters), 1, dim, this.letters); // tied
  }
}

/** Probabilities from logits; the lower the temperature, the more the likeliest gets. */
export const probabilities = (logits, temperature = 1) =>
  softmax(
    Float64Array.from(logits, (logit) => logit / temperature),
    0,
    logits.length,
  );
