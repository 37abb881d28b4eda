// What swap.js draws: the paths of sixty garments through a network, and how many of their answers are right.

import { COLOURS, size } from "./solvers.js";

const FINE = 24; // points of a drawn path in each layer: a multiple of every number of steps

/** The points of broken lines at equal times, so that lines of different numbers of steps can turn into each other. */
export function resample({ paths, points, answers, steps }) {
  const count = answers.length;
  const fine = ((points - 1) / steps) * FINE + 1;
  const out = new Float32Array(count * fine * 2);
  for (let i = 0; i < count; i++)
    for (let k = 0; k < fine; k++) {
      const time = (k / (fine - 1)) * (points - 1);
      const left = Math.min(Math.floor(time), points - 2);
      for (let c = 0; c < 2; c++) {
        const from = paths[(i * points + left) * 2 + c];
        out[(i * fine + k) * 2 + c] = from + (time - left) * (paths[(i * points + left + 1) * 2 + c] - from);
      }
    }
  return out;
}

/** The smallest box around the first `length` numbers of `lines`, pairs (x, y), and around `box`. */
export function widen(lines, length, box) {
  const [left, right, low, high] = box ?? [Infinity, -Infinity, Infinity, -Infinity];
  const wider = [left, right, low, high];
  for (let k = 0; k < length; k += 2) {
    wider[0] = Math.min(wider[0], lines[k]);
    wider[1] = Math.max(wider[1], lines[k]);
    wider[2] = Math.min(wider[2], lines[k + 1]);
    wider[3] = Math.max(wider[3], lines[k + 1]);
  }
  return wider;
}

/** Where paths end, pairs (x, y): open circles if the answers are right, crosses if they are wrong. */
function drawEnds(c, lab, places, right, radius) {
  c.lineWidth = radius > 4 ? 2.5 : 1.5;
  c.strokeStyle = lab.colour(right ? "ink" : "attention");
  c.beginPath();
  for (const [x, y] of places) {
    c.moveTo(x + radius, right ? y : y + radius);
    if (right) c.arc(x, y, radius, 0, 2 * Math.PI);
    else {
      c.lineTo(x - radius, y - radius);
      c.moveTo(x + radius, y - radius);
      c.lineTo(x - radius, y + radius);
    }
  }
  c.stroke();
}

/**
 * All paths, thin, and the chosen one with a square after each step and, in ink, the accurate solution beside it.
 *
 * @param view now: the lines, resampled; drawn: the result whose lines they are; bending: whether they are still on
 *     their way there; exact: the accurate result, if known; limits: a box; chosen: a garment; right(result, i).
 */
export function drawPaths(c, width, height, lab, { now, drawn, bending, exact, limits, chosen, right }) {
  c.font = `13px ${lab.font ?? "sans-serif"}`;
  c.fillStyle = lab.colour("ink");
  c.fillText("paths of the mean token, layer by layer", 6, 15);
  if (!now || !limits) return;
  const scale = Math.min((width - 24) / (limits[1] - limits[0]), (height - 44) / (limits[3] - limits[2]));
  const x = (value) => width / 2 + scale * (value - (limits[0] + limits[1]) / 2);
  const y = (value) => (height + 20) / 2 - scale * (value - (limits[2] + limits[3]) / 2);
  const trace = (points, from, to, by) => {
    c.moveTo(x(points[from]), y(points[from + 1]));
    for (let k = from + by; k < to; k += by) c.lineTo(x(points[k]), y(points[k + 1]));
  };
  const stride = now.length / drawn.answers.length;
  const by = 2 * (bending ? 3 : FINE / drawn.steps); // at rest a line has no corners but those of its steps
  const ends = (i) => [x(now[(i + 1) * stride - 2]), y(now[(i + 1) * stride - 1])];
  const others = [...Array(drawn.done).keys()].filter((i) => i !== chosen);
  const colour = lab.colour(COLOURS[drawn.rule]);
  [c.strokeStyle, c.globalAlpha, c.lineWidth] = [colour, 0.4, 1];
  c.beginPath();
  for (const i of others) trace(now, i * stride, (i + 1) * stride, by);
  c.stroke();
  c.globalAlpha = 1;
  for (const good of [true, false]) drawEnds(c, lab, others.filter((i) => right(drawn, i) === good).map(ends), good, 3);
  if (chosen >= drawn.done) return;
  [c.strokeStyle, c.fillStyle, c.lineWidth] = [colour, colour, 2.5];
  c.beginPath();
  trace(now, chosen * stride, (chosen + 1) * stride, by);
  c.stroke();
  const side = drawn.steps > 2 ? 5 : 8;
  for (let k = 0; k < drawn.points - 1; k++) {
    const at = chosen * stride + (2 * k * FINE) / drawn.steps;
    c.fillRect(x(now[at]) - side / 2, y(now[at + 1]) - side / 2, side, side);
  }
  if (exact?.done > chosen) {
    [c.strokeStyle, c.lineWidth] = [lab.colour("ink"), 1.5];
    c.beginPath();
    trace(exact.paths, chosen * exact.points * 2, (chosen + 1) * exact.points * 2, 2);
    c.stroke();
  }
  drawEnds(c, lab, [ends(chosen)], right(drawn, chosen), 6);
}

const HEAD = 28;
export const FOOT = 50; // below the plot: step sizes, and room for the handle

/**
 * How many answers are right at each step size: a dot for each of five networks, the shown one's filled.
 *
 * @param view columns: pairs (steps, x); rule; at(steps): pairs (right answers, whether it is the shown network);
 *     home: the right answers of the five as trained; count: of garments.
 */
export function drawScores(c, width, height, lab, { columns, rule, at, home, count }) {
  const y = (right) => HEAD + (height - HEAD - FOOT) * (1 - right / count);
  c.font = `13px ${lab.font ?? "sans-serif"}`;
  [c.fillStyle, c.strokeStyle, c.lineWidth] = [lab.colour("ink"), lab.colour("ink"), 1];
  c.fillText(`right answers of ${count}, five networks`, 6, 15);
  const ticks = [0, 1, 2, 3].map((k) => (k * count) / 3);
  c.textAlign = "right";
  for (const right of ticks) c.fillText(right, 30, y(right) + 4);
  c.textAlign = "center";
  for (const [steps, x] of columns) c.fillText(size(steps), x, height - FOOT + 18);
  c.textAlign = "left";
  c.globalAlpha = 0.3;
  c.beginPath();
  for (const right of ticks) {
    c.moveTo(36, y(right));
    c.lineTo(width - 6, y(right));
  }
  c.stroke();
  if (home.length) {
    c.globalAlpha = 0.14; // the band of the networks as they were trained
    c.fillRect(36, y(Math.max(...home)) - 2, width - 42, y(Math.min(...home)) - y(Math.max(...home)) + 4);
  }
  c.globalAlpha = 1;
  c.lineWidth = 2;
  c.strokeStyle = lab.colour(COLOURS[rule]);
  for (const [steps, x] of columns) {
    const dots = at(steps);
    if (!dots.length) continue;
    const all = dots.map(([right]) => right);
    c.beginPath();
    c.moveTo(x, y(Math.max(...all)));
    c.lineTo(x, y(Math.min(...all)));
    c.stroke();
    for (const [right, shown] of dots) {
      c.fillStyle = lab.colour(shown ? COLOURS[rule] : "paper");
      c.beginPath();
      c.arc(x, y(right), shown ? 6 : 4, 0, 2 * Math.PI);
      c.fill();
      c.stroke();
    }
  }
}
