// What flock.js draws: the sphere with its tokens, and two curves against depth.
import { chart, curve } from "./chart.js";
import { circle, diamond } from "./sphere.js";

/**
 * The sphere with its tokens, where each has been, and how many stand in each place.
 *
 * @param view the Sphere; u: directions; group: of each token the first in its place; trail: earlier directions; hues;
 *     corners: where the MLP drives tokens.
 */
export function drawSphere(c, width, height, lab, { view, u, group, trail, hues, corners }) {
  view.fit(width, height);
  view.paint(c, lab.colour("ink"));
  c.strokeStyle = lab.colour("mlp");
  c.lineWidth = 2.5;
  if (lab.state.mlp) for (let k = 0; k < corners.length; k += 3) diamond(c, view.spot(corners, k), 13);
  const light = lab.dark ? 0.75 : 0.6; // of all hues alike
  const sizes = new Map();
  for (const first of group) sizes.set(first, (sizes.get(first) ?? 0) + 1);
  c.lineCap = c.lineJoin = "round";
  for (let i = 0; i < group.length; i++) {
    const [x, y, near] = view.spot(u, 3 * i);
    c.strokeStyle = c.fillStyle = `oklch(${light} 0.15 ${hues[i]})`;
    c.globalAlpha = near > 0 ? 0.45 : 0.15;
    c.lineWidth = 1.6;
    c.beginPath();
    for (const then of trail) c.lineTo(view.right(then, 3 * i), view.down(then, 3 * i));
    c.lineTo(x, y);
    c.stroke();
    c.globalAlpha = near > 0 ? 0.9 : 0.35;
    c.beginPath();
    c.arc(x, y, 3 + 1.5 * near + 1.2 * Math.sqrt(sizes.get(group[i])), 0, 2 * Math.PI);
    c.fill();
  }
  c.fillStyle = lab.colour("ink");
  c.font = `600 14px ${lab.font}`;
  for (const [i, size] of sizes) {
    const [x, y, near] = view.spot(u, 3 * i);
    c.globalAlpha = near > 0 ? 1 : 0.5;
    c.textAlign = x > view.middle[0] ? "right" : "left";
    if (size > 3) c.fillText(size, x + (x > view.middle[0] ? -17 : 17), y + 5);
  }
  c.globalAlpha = 1;
  c.strokeStyle = lab.colour("ink");
  c.lineWidth = 2;
  if (lab.state.masked) circle(c, view.spot(u, 0), 12); // the first token, which sees itself alone
}

/** The number of places and the energy against depth; history: what was noted, [{ t, places, energy }]. */
export function drawPlots(c, width, height, lab, { history, count, last }) {
  const [left, right, each] = [34, width - 10, (height - 84) / 2];
  const depths = [0.1, 1, 10, 100, 1000, last].map((t) => [t, t === last ? "10⁴" : String(t)]);
  const x = { from: 0.1, to: last, log: true, marks: depths };
  const counts = { from: 1, to: count, log: true, marks: [1, 2, 4, 8, 16, 32, 64].map((n) => [n, String(n)]) };
  const shares = {
    from: 0,
    to: 1,
    marks: [
      [0, "0"],
      [0.5, "0.5"],
      [1, "1"],
    ],
  };
  const above = chart(
    c,
    lab,
    { left, right, top: 22, low: 22 + each },
    "places with tokens, against depth t",
    { ...x, marks: depths.map(([t]) => [t, ""]) },
    counts,
  );
  curve(
    c,
    lab,
    history.map((h) => [above.across(h.t), above.up(h.places)]),
    "attention",
  );
  const below = chart(
    c,
    lab,
    { left, right, top: 60 + each, low: 60 + 2 * each },
    "energy, share of the largest",
    x,
    shares,
  );
  curve(
    c,
    lab,
    history.map((h) => [below.across(h.t), below.up(h.energy)]),
    "mlp",
  );
}
