// The robot of chapter 8: two buttons, walk and turn, held for a time, forwards or back.

/** What each button adds to the speed ahead and to the speed of turning left. */
const BUTTONS = { f: [1, 0], b: [-1, 0], l: [0, 1], r: [0, -1] };

/** The state (east, north, heading) after some buttons were held together for h seconds: along a line or a circle. */
export function press([x, y, angle], buttons, h) {
  let [speed, turn] = [0, 0];
  for (const button of buttons) [speed, turn] = [speed + BUTTONS[button][0], turn + BUTTONS[button][1]];
  const end = angle + h * turn;
  if (turn === 0) return [x + h * speed * Math.cos(angle), y + h * speed * Math.sin(angle), end];
  const radius = speed / turn;
  return [x + radius * (Math.sin(end) - Math.sin(angle)), y + radius * (Math.cos(angle) - Math.cos(end)), end];
}

/** A drive as text, such as "f0.5l0.5": buttons, and how long they are held. */
export const parse = (drive) =>
  [...drive.slice(0, 4000).matchAll(/([fblr]{1,4})(\d+\.?\d*)/g)].map(([, buttons, time]) => [
    buttons,
    Math.min(Number(time), 60),
  ]);
export const write = (moves) => moves.map(([buttons, time]) => buttons + +time.toFixed(4)).join("");

/** All states of a drive, from the start at (0, 0, 0) on. */
export function stops(moves) {
  const states = [[0, 0, 0]];
  for (const [buttons, time] of moves) states.push(press(states.at(-1), buttons, time));
  return states;
}

/** The four moves whose sum is nothing, and whose outcome is h^2 times the commutator; and Strang's form of them. */
export const bracket = (h) => [
  ["f", h],
  ["l", h],
  ["b", h],
  ["r", h],
];
export const mended = (h) => [
  ["r", h / 2],
  ["f", h],
  ["l", h],
  ["b", h],
  ["r", h / 2],
];

/** The chapter's orders for half a circle, each for one step: parts of it for which a button is held. */
export const ORDERS = {
  "walk, turn": [
    ["f", 1],
    ["l", 1],
  ],
  "turn, walk": [
    ["l", 1],
    ["f", 1],
  ],
  "½ turn, walk, ½ turn": [
    ["l", 0.5],
    ["f", 1],
    ["l", 0.5],
  ],
  "½ walk, turn, ½ walk": [
    ["f", 0.5],
    ["l", 1],
    ["f", 0.5],
  ],
};

/** The moves of an order in n steps around half a circle; the same button twice in a row is one move. */
export function around(order, n) {
  const moves = [];
  for (let k = 0; k < n; k++)
    for (const [button, part] of ORDERS[order])
      if (moves.at(-1)?.[0] === button) moves.at(-1)[1] += (part * Math.PI) / n;
      else moves.push([button, (part * Math.PI) / n]);
  return moves;
}

/** How far a state is from another, all three numbers counted. */
export const miss = (state, goal) => Math.hypot(...state.map((value, k) => value - goal[k]));
