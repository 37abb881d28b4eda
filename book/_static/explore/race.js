// The race of steps: a parallel layer, a usual layer and RK4 follow one equation in the plane, whose two terms are drawn
// by hand, and chapter 7's fields are where it begins.
import { sum } from "./core.js";
import { LOOKS } from "./frame.js";
import { ANCHORS, PAIRS, RUNNERS, affine, race, ways } from "./race-field.js";
import { drawMisses, drawRunners } from "./race-pictures.js";
import { disc, format, make } from "./tools.js";

const LENGTHS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
const NAMES = { parallel: "parallel layer", usual: "usual layer", rk4: "RK4" };
const SPAN = { left: -2, right: 2.1, low: -1.5, high: 2.3 };
const ARROW = 0.45; // an arrow's length for a speed of 1
const FASTEST = 12; // that an arrow within the picture can say
const OWN = "Your own arrows";

const within = (value, low, high) => Math.min(Math.max(value, low + 0.1), high - 0.1);
const inside = (x, y) => [within(x, SPAN.left, SPAN.right), within(y, SPAN.low, SPAN.high)];

export function mount(lab) {
  const [first, ...others] = Object.keys(PAIRS);
  lab.begin({ pair: first, layers: 1, depth: 1, all: 0, start: [1.2, 0.1], a: PAIRS[first][0], m: PAIRS[first][1] });
  lab.button("Race", () => reveal(), { class: "explore-main" });
  lab.button("Race at all lengths", () => fill());
  lab.button("Guess again", () => {
    lab.state.all = 0;
    lab.hold();
    begin();
  });
  const size = () => `h = ${+(lab.state.depth / lab.state.layers).toFixed(3)}`; // of a layer
  lab.slider("layers", "layers", { values: LENGTHS, text: (n) => `${n}, ${size()}` });
  lab.slider("depth", "depth", { values: [1, 2, 3], text: String });
  lab.choice(
    "pair",
    "the two terms",
    [first, ...others, OWN].map((name) => [name, name]),
  );

  // The arrows of a pair follow from its name, in the address too; and an address may ask for what nobody could see.
  lab.implied = () => (lab.state.pair === OWN ? [] : ["a", "m"]);
  const choose = () => {
    const { state } = lab;
    const bounded = (v) => v.map((x) => within(x, -FASTEST, FASTEST));
    [state.a, state.m] = state.pair === OWN ? [bounded(state.a), bounded(state.m)] : PAIRS[state.pair];
    state.start = inside(...state.start);
  };
  choose();

  let guesses, shown, results, misses, gone; // gone: how much of the depth the runners have behind them, 0 to 1

  function compute() {
    const { a, m, start, layers, depth } = lab.state;
    results = race(a, m, start, layers, depth);
    results.ways = ways(a, m, start, layers, depth);
    if (!shown) return;
    misses.set(layers, results.misses);
    if (lab.state.all) for (const n of LENGTHS) if (n !== layers) misses.set(n, race(a, m, start, n, depth).misses);
  }

  // ---- words

  function describe(patient = false) {
    const { layers, pair } = lab.state;
    const many = `${layers} ${layers === 1 ? "layer" : "layers"}, ${size()}`;
    if (!shown)
      return lab.say(
        `${pair}. The start is at (${format(lab.state.start[0])}, ${format(lab.state.start[1])}), with ${many}.`,
        patient,
      );
    const [parallel, usual, rk4] = results.misses;
    const nearer =
      Math.abs(parallel - usual) < 1e-9
        ? "The two layers end in the same place"
        : `The ${usual < parallel ? "usual" : "parallel"} layer ends nearer to the exact solution`;
    const hits = guesses
      ? ` Your marks were off by ${[...RUNNERS.slice(0, 2).map(([name], i) => `${format(distance(guesses[i], results.ends[i]))} (${NAMES[name]})`), `${format(distance(guesses[2], results.exact))} (exact)`].join(", ")}.`
      : "";
    lab.say(
      `${pair}, ${many}. ${nearer}: the usual one ends ${format(usual)} from it, the parallel one ${format(parallel)}, RK4 ${format(rk4)}.${hits}${slopes()}`,
      patient,
    );
  }

  /** By what the misses fall from half of the longest race so far to the longest. */
  function slopes() {
    const most = Math.max(...misses.keys());
    const [long, half] = [misses.get(most), misses.get(most / 2)];
    if (!half || most < 16) return "";
    return ` From ${most / 2} to ${most} layers the misses fall by factors of ${RUNNERS.map(([name], i) => `${format(half[i] / long[i])} (${NAMES[name]})`).join(", ")}.`;
  }

  // ---- the course of a race

  function begin() {
    const [x, y] = lab.state.start;
    [shown, misses, gone] = [false, new Map(), 0];
    guesses = [0.2, 0.65, 1.1].map((up) => inside(x + 0.55, y + up));
    compute();
    describe();
    lab.run(null);
    lab.ask(
      `Where will each be at the end? Drag the marks: the circle for the parallel layer, the square for the usual one, the ring for the exact solution.`,
      ["These are my guesses"],
      (index) => reveal(index === null),
    );
    lab.redraw();
  }

  function reveal(unguessed = false) {
    if (unguessed) guesses = null;
    lab.guesses.replaceChildren();
    [shown, gone] = [true, lab.calm ? 1 : 0];
    compute();
    describe();
    if (gone < 1)
      lab.run((seconds) => {
        gone = Math.min(1, gone + seconds / 1.6);
        return gone < 1;
      });
    else lab.redraw();
  }

  function fill() {
    if (!shown) reveal(true);
    lab.set("all", 1);
  }

  lab.changed((names) => {
    choose();
    if (names.includes("depth")) lab.controls.layers(); // which says h, too
    if (names.length > 1) return void (misses.clear(), reveal(true)); // somebody came for a state
    if (!["layers", "all"].includes(names[0])) {
      misses.clear(); // another equation, or another start
      if (shown) guesses = null;
    }
    compute();
    describe(["start", "a", "m"].includes(names[0])); // which change while somebody drags
  });
  lab.onreset = begin;

  // ---- the picture

  let scale = 1,
    height = 1;
  const pixel = ([x, y]) => [(x - SPAN.left) * scale, height - (y - SPAN.low) * scale];
  const point = (x, y) => [x / scale + SPAN.left, (height - y) / scale + SPAN.low];
  const tip = (term, k) => [0, 1].map((c) => ANCHORS[term][k][c] + ARROW * lab.state[term][2 * k + c]);

  /** Add an arrow to the path that is drawn next. */
  function arrow(c, from, to, head = 7) {
    const [[x0, y0], [x1, y1]] = [pixel(from), pixel(to)];
    const length = Math.hypot(x1 - x0, y1 - y0);
    if (length < 1) return;
    const [ux, uy] = [(x1 - x0) / length, (y1 - y0) / length];
    c.moveTo(x0, y0);
    c.lineTo(x1, y1);
    c.moveTo(x1 - head * (ux - 0.6 * uy), y1 - head * (uy + 0.6 * ux));
    c.lineTo(x1, y1);
    c.lineTo(x1 - head * (ux + 0.6 * uy), y1 - head * (uy - 0.6 * ux));
  }

  function paintPlane(c, width, tall) {
    [scale, height] = [width / (SPAN.right - SPAN.left), tall];
    const { a, m, start } = lab.state;
    const [A, M] = [affine(a, "a"), affine(m, "m")];
    const field = sum(A, M);
    const slope = new Float64Array(2);
    c.lineCap = c.lineJoin = "round";
    c.strokeStyle = lab.colour("ink");
    c.lineWidth = 1;
    c.globalAlpha = 0.25;
    c.beginPath();
    for (let x = -1.9; x < 2.2; x += 0.4)
      for (let y = -1.3; y < 2.3; y += 0.4) {
        field(0, [x, y], slope);
        arrow(c, [x, y], [x + 0.13 * slope[0], y + 0.13 * slope[1]], 3);
      }
    c.stroke();
    c.globalAlpha = 1;
    c.lineWidth = 2.5;
    c.font = `italic 15px ${lab.font}`;
    c.textAlign = "center";
    for (const [term, name, letter] of [
      ["a", "attention", "A"],
      ["m", "mlp", "M"],
    ]) {
      c.strokeStyle = c.fillStyle = lab.colour(name);
      c.beginPath();
      for (let k = 0; k < 3; k++) arrow(c, ANCHORS[term][k], tip(term, k));
      c.stroke();
      c.fillStyle = lab.colour("ink");
      for (let k = 0; k < 3; k++) {
        const [x, y] = pixel(tip(term, k));
        c.fillText(letter, x + 13, y + (letter === "A" ? -7 : 16));
      }
    }
    if (shown) drawRunners(c, lab, { ways: results.ways, reached: gone * lab.state.depth, pixel });
    c.fillStyle = lab.colour("ink");
    disc(c, pixel(start), 5);
  }

  const { box } = lab.canvas(
    "A plane with arrows of the two terms at three places and, after a race, the paths of the parallel layer, the usual layer, RK4 and the exact solution.",
    (width) => (width * (SPAN.high - SPAN.low)) / (SPAN.right - SPAN.left),
    paintPlane,
  );
  lab.canvas(
    "The distances from the exact solution against the number of layers, both on logarithmic axes.",
    (width) => Math.min(Math.max(0.75 * width, 260), 330),
    (c, width, tall) => drawMisses(c, width, tall, lab, { misses, names: RUNNERS.map(([name]) => name) }),
  );
  const looks = { parallel: "● parallel layer", usual: "■ usual layer", rk4: "▲ RK4", exact: "━ exact solution" };
  const legend = Object.entries(looks).map(([name, text]) =>
    make(
      "span",
      {},
      make("span", { "aria-hidden": "true", style: `color: var(${LOOKS[name] ?? "--pst-color-text-muted"})` }, text[0]),
      text.slice(1),
    ),
  );
  box.after(make("p", { class: "explore-legend explore-below" }, ...legend));

  // ---- hands and keys

  const words = ([x, y]) => `at (${format(x)}, ${format(y)})`;

  for (const [term, name, letter] of [
    ["a", "attention", "A"],
    ["m", "mlp", "M"],
  ])
    for (let k = 0; k < 3; k++)
      lab.handle({
        box,
        looks: "tip",
        colour: name,
        label: () =>
          `Arrow ${k + 1} of ${letter}, from (${ANCHORS[term][k].map((x) => format(x)).join(", ")}): ${words(lab.state[term].slice(2 * k, 2 * k + 2)).replace("at ", "")}. Arrow keys change it`,
        at: () => pixel(tip(term, k)),
        move: (px, py) => {
          const [x, y] = inside(...point(px, py));
          const v = [...lab.state[term]];
          [v[2 * k], v[2 * k + 1]] = [(x - ANCHORS[term][k][0]) / ARROW, (y - ANCHORS[term][k][1]) / ARROW];
          lab.state.pair = OWN;
          lab.controls.pair();
          lab.set(term, v);
        },
      });
  lab.handle({
    box,
    looks: "none",
    label: () => `Start, ${words(lab.state.start)}. Arrow keys move it`,
    at: () => pixel(lab.state.start),
    move: (x, y) => lab.set("start", inside(...point(x, y))),
  });
  [
    ["the parallel layer", "circle", "parallel"],
    ["the usual layer", "square", "usual"],
    ["the exact solution", "ring", "ink"],
  ].forEach(([name, looks, colour], k) =>
    lab.handle({
      box,
      looks,
      colour,
      label: () => `Your guess for ${name}, ${words(guesses?.[k] ?? [0, 0])}. Arrow keys move it`,
      at: () => guesses && pixel(guesses[k]),
      move: (x, y) => {
        if (!shown) guesses[k] = inside(...point(x, y));
        lab.redraw();
      },
    }),
  );

  begin();
  if (lab.linked) reveal(true);
}

const distance = ([x, y], [p, q]) => Math.hypot(x - p, y - q);
