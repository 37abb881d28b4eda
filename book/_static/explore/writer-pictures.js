// What writer.js draws: the letters that may come next, and the cache of keys and values.

import { COLOURS } from "./solvers.js";

const LAYERS = 4;

const visible = (letter) => ({ " ": "␣", "\n": "↵" })[letter] ?? letter;

/** The ten likeliest letters, with their probabilities in per cent; no bars while `shares` is null. */
export function drawNext(c, width, height, lab, { shares, letters, heat, rule }) {
  c.font = `13px ${lab.font ?? "sans-serif"}`;
  c.fillStyle = lab.colour("ink");
  c.textAlign = "left";
  c.fillText(`what comes next, at temperature ${heat}`, 6, 15);
  if (!shares) return;
  const best = [...shares.keys()].sort((a, b) => shares[b] - shares[a]).slice(0, 10);
  const room = (width - 12) / best.length;
  c.textAlign = "center";
  best.forEach((letter, i) => {
    const x = 6 + (i + 0.5) * room;
    const tall = shares[letter] * (height - 62);
    c.fillStyle = lab.colour(COLOURS[rule]);
    c.fillRect(x - 0.36 * room, height - 22 - tall, 0.72 * room, tall);
    c.fillStyle = lab.colour("ink");
    c.fillText(visible(letters[letter]), x, height - 6);
    if (shares[letter] >= 0.01) c.fillText(Math.round(100 * shares[letter]), x, height - 27 - tall);
  });
}

/** A row for each evaluation of attention, which keeps a key and a value of each letter; filled as far as was read. */
export function drawCache(c, width, height, lab, { places, read, evaluations, rule }) {
  c.font = `13px ${lab.font ?? "sans-serif"}`;
  c.fillStyle = lab.colour("ink");
  c.fillText(`kept of each letter: ${evaluations} keys and values`, 6, 15);
  const [top, left] = [26, 6];
  const room = (width - 12) / places;
  const tall = (height - top - 24) / evaluations;
  const gap = tall > 5 ? 1.5 : 0.5;
  for (let row = 0; row < evaluations; row++) {
    const y = top + row * tall;
    c.globalAlpha = 0.12;
    c.fillStyle = lab.colour("ink");
    c.fillRect(left, y, places * room, tall - gap);
    c.globalAlpha = Math.floor((LAYERS * row) / evaluations) % 2 ? 0.65 : 1; // layers can be told apart
    c.fillStyle = lab.colour(COLOURS[rule]);
    c.fillRect(left, y, read * room, tall - gap);
  }
  c.globalAlpha = 1;
  c.fillStyle = lab.colour("ink");
  c.fillRect(left + read * room - 1, top - 3, 2, height - top - 18);
  c.fillText(`letters 1 to ${places}; four layers, from above`, 6, height - 6);
}
