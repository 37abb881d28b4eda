// The step rules by which the pages solve a trained network, as they are named and coloured everywhere.

export const RULES = [
  ["euler", "Euler (parallel layers)"],
  ["lie-trotter", "usual layers"],
  ["midpoint", "midpoint"],
  ["rk4", "RK4"],
];

/** Names of colours, as frame.js knows them. */
export const COLOURS = { euler: "parallel", "lie-trotter": "usual", midpoint: "mlp", rk4: "rk4" };

/** The step size for a number of steps in each layer. */
export const size = (steps) => (steps === 1 ? "1" : `1/${steps}`);

/** A rule and its step size in words. */
export const solver = (rule, steps) =>
  `${RULES.find(([name]) => name === rule)[1].replace(/ \(.*/, "")} with h = ${size(steps)}`;
