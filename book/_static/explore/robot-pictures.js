// What robot.js draws: the floor from above, and how far the replays end from the goal.
import { chart, curve, empty } from "./chart.js";
import { press, stops } from "./robot-moves.js";
import { disc, line } from "./tools.js";

/** A robot in a circle, with a line that says where it looks. */
function drawRobot(c, lab, [px, py], angle, scale, colour, dashed) {
  const r = Math.max(9, 0.11 * scale);
  c.strokeStyle = c.fillStyle = lab.colour(colour);
  c.lineWidth = 2.5;
  c.setLineDash(dashed ? [4, 4] : []);
  c.beginPath();
  c.arc(px, py, r, 0, 2 * Math.PI);
  c.stroke();
  c.setLineDash([]);
  line(c, px, py, px + 1.9 * r * Math.cos(angle), py - 1.9 * r * Math.sin(angle));
  if (!dashed) disc(c, [px, py], r / 2.2);
}

/**
 * The floor from above: the goal, dashed, and the robot with the way that its moves have brought it.
 *
 * @param goal at: a state; view: the least that is shown; arc: moves that lead there along a curve, or nothing.
 */
export function drawFloor(c, width, height, lab, { moves, goal }) {
  const states = stops(moves);
  let view = [...goal.view];
  for (const [x, y] of states)
    view = [
      Math.min(view[0], x - 0.2),
      Math.max(view[1], x + 0.2),
      Math.min(view[2], y - 0.2),
      Math.max(view[3], y + 0.2),
    ];
  const scale = Math.min(width / (view[1] - view[0]), height / (view[3] - view[2]));
  const spare = [width / scale - (view[1] - view[0]), height / scale - (view[3] - view[2])];
  view = [view[0] - spare[0] / 2, view[1] + spare[0] / 2, view[2] - spare[1] / 2, view[3] + spare[1] / 2];
  const pixel = ([x, y]) => [(x - view[0]) * scale, height - (y - view[2]) * scale];
  c.strokeStyle = lab.colour("ink");
  c.lineWidth = 1;
  c.globalAlpha = 0.12;
  const mesh = 10 ** Math.floor(Math.log10((view[1] - view[0]) / 1.5)) / 2;
  for (let x = Math.ceil(view[0] / mesh) * mesh; x <= view[1]; x += mesh)
    line(c, pixel([x, 0])[0], 0, pixel([x, 0])[0], height);
  for (let y = Math.ceil(view[2] / mesh) * mesh; y <= view[3]; y += mesh)
    line(c, 0, pixel([0, y])[1], width, pixel([0, y])[1]);
  c.globalAlpha = 1;
  if (goal.arc) drawArc(c, lab, goal.arc, pixel);
  drawRobot(c, lab, pixel(goal.at), goal.at[2], scale, "rk4", true);
  c.fillStyle = lab.colour("ink");
  disc(c, pixel([0, 0]), 4);
  c.strokeStyle = lab.colour("usual");
  c.lineWidth = 2.5;
  c.lineJoin = "round";
  c.beginPath();
  states.forEach((state, k) => {
    const [buttons, time] = moves[k - 1] ?? ["", 0];
    const parts = buttons.length > 1 ? 12 : 1; // two buttons at once go along an arc
    for (let i = 1; i <= parts; i++) c.lineTo(...pixel(k ? press(states[k - 1], buttons, (time * i) / parts) : state));
  });
  c.stroke();
  c.fillStyle = lab.colour("usual");
  if (moves.length < 80) for (const state of states.slice(1)) disc(c, pixel(state), 3.5);
  drawRobot(c, lab, pixel(states.at(-1)), states.at(-1)[2], scale, "usual", false);
}

function drawArc(c, lab, [buttons, time], pixel) {
  c.strokeStyle = lab.colour("rk4");
  c.lineWidth = 2;
  c.beginPath();
  for (let k = 0; k <= 40; k++) c.lineTo(...pixel(press([0, 0, 0], buttons, (time * k) / 40)));
  c.stroke();
}

/** How far the robot ends from the goal; misses: by the number of steps. */
export function drawMisses(c, width, height, lab, misses) {
  const edges = { left: 48, right: width - 12, top: 26, low: height - 26 };
  const x = { from: 1, to: 24, log: true, marks: [1, 2, 4, 8, 16, 24].map((n) => [n, String(n)]) };
  const y = {
    from: 0.001,
    to: 10,
    log: true,
    marks: [10, 1, 0.1, 0.01, 0.001].map((value) => [value, String(value)]),
  };
  const { across, up } = chart(c, lab, edges, "miss at the end, against the number of steps", x, y);
  const points = [...misses].sort(([n], [m]) => n - m).map(([n, value]) => [across(n), up(value)]);
  if (!points.length) empty(c, lab, edges, "fills as you replay");
  curve(c, lab, points, "usual");
  for (const [px, py] of points) c.fillRect(px - 5, py - 5, 10, 10);
}
