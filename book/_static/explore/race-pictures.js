// What race.js draws beside its arrows: the paths of the runners, and how far from the exact solution they end.
import { chart, curve, empty } from "./chart.js";

/**
 * The paths, as far as the runners have come.
 *
 * @param ways pairs (time, place) by name; reached: a time; pixel(place): where a place is drawn.
 */
export function drawRunners(c, lab, { ways, reached, pixel }) {
  const looks = [
    ["exact", "ink", []],
    ["rk4", "rk4", []],
    ["parallel", "parallel", [7, 4]],
    ["usual", "usual", [8, 3, 2, 3]],
  ];
  for (const [name, colour, dash] of looks) {
    const path = ways[name];
    c.strokeStyle = c.fillStyle = lab.colour(colour);
    c.lineWidth = name === "exact" ? 5 : 2.5;
    c.globalAlpha = name === "exact" ? 0.3 : 1;
    c.setLineDash(dash);
    c.beginPath();
    let head = path[0];
    for (let k = 0; k < path.length; k++) {
      const [t, ...place] = path[k];
      if (t > reached + 1e-9) {
        const [before, ...from] = path[k - 1];
        const share = (reached - before) / (t - before);
        head = [0, from[0] + share * (place[0] - from[0]), from[1] + share * (place[1] - from[1])];
        c.lineTo(...pixel(head.slice(1)));
        break;
      }
      head = path[k];
      c.lineTo(...pixel(place));
    }
    c.stroke();
    c.setLineDash([]);
    c.globalAlpha = 1;
    mark(c, name, pixel(head.slice(1)), 7);
  }
}

/** The distances from the exact solution; misses: three for each number of layers that was raced, in the order of `names`. */
export function drawMisses(c, width, tall, lab, { misses, names }) {
  const edges = { left: 44, right: width - 12, top: 26, low: tall - 36 };
  const x = {
    from: 0.85,
    to: 64,
    log: true,
    marks: [1, 2, 4, 8, 16, 32, 64].map((n) => [n, String(n)]),
    label: "layers",
  };
  const y = {
    from: 1e-8,
    to: 10,
    log: true,
    marks: [
      [1, "1"],
      [1e-2, "10⁻²"],
      [1e-4, "10⁻⁴"],
      [1e-6, "10⁻⁶"],
      [1e-8, "10⁻⁸"],
    ],
  };
  const { across, up } = chart(c, lab, edges, "distance from the exact solution", x, y);
  const lengths = [...misses.keys()].sort((p, q) => p - q);
  if (!lengths.length) empty(c, lab, edges, "fills as you race");
  names.forEach((name, i) => {
    const points = lengths.map((n) => [across(n), up(misses.get(n)[i])]);
    c.globalAlpha = 0.5;
    curve(c, lab, points, name);
    c.globalAlpha = 1;
    points.forEach((point, k) => mark(c, name, point, lengths[k] === lab.state.layers ? 7 : 5));
  });
}

/** The mark of a curve, as in every figure of the book: circle, square, triangle. */
function mark(c, name, [x, y], r) {
  c.beginPath();
  if (name === "usual") c.rect(x - r, y - r, 2 * r, 2 * r);
  else if (name === "rk4")
    for (const [p, q] of [
      [0, -1.2],
      [1.1, 0.9],
      [-1.1, 0.9],
    ])
      c.lineTo(x + r * p, y + r * q);
  else c.arc(x, y, r, 0, 2 * Math.PI);
  c.fill();
}
