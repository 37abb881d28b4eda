// The flock on the sphere: tokens that attract each other, as chapter 6 has them, thrown and dragged by hand.
import { Adaptive, gelu } from "./core.js";
import { format, line, random } from "./frame.js";

// ---- the mathematics of the chapter -----------------------------------------------------------------------------

/**
 * The field of a flock of tokens in `dim` dimensions: each moves towards the mean of what it sees, weighted by
 * exp(beta x_i . x_j), and along the sphere.
 *
 * @param options masked: a token sees itself and those before it. places: rows w_k of an MLP of three units,
 *     0.1 sum_k gelu(3 x . w_k) w_k. pre: pre-norm, the state is x in space and the field is read at x / |x|.
 */
export function flock(beta, { dim = 3, masked = false, places = null, pre = false } = {}) {
  let u = new Float64Array(0), total = u;
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

// ---- the explorable ---------------------------------------------------------------------------------------------

const CORNERS = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1); // where the MLP drives tokens
const COUNT = 64;
const FRONT = { turn: -Math.PI / 4, tilt: Math.atan(Math.SQRT1_2) }; // the point (1, 1, 1) faces the reader
const BETAS = [0, 1, 2, 3, 4, 6, 9, 12, 16, 24];
const LAST = 10_000;
const TRAIL = 80; // places of a token that are remembered
const ASKED_AT = 25;
const GUESSES = [["one", 1, 1], ["2 or 3", 2, 3], ["4 to 6", 4, 6], ["7 or more", 7, COUNT]];
const TASK = "64 tokens, β = 9, attention alone. In how many places will they stand at t = 25?";

/** Where `count` tokens are thrown: the chapter's own throw is the first, and others follow from their number. */
function thrown(number, settings) {
  if (number === 1 && settings.start) return Float64Array.from(settings.start);
  const draw = random(number);
  const x = new Float64Array(3 * COUNT);
  for (let k = 0; k < x.length; k += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - draw()));
    const angle = 2 * Math.PI * draw();
    [x[k], x[k + 1]] = [radius * Math.cos(angle), radius * Math.sin(angle)];
  }
  return directions(x);
}

export function mount(lab) {
  const flying = new Map(); // tokens on their way from a hand: velocity, by number
  let solve, u, trail, history, hues, held, chosen, guess, playing;
  let rush = null; // a depth to be reached at once
  let view = { ...FRONT };

  lab.begin({ beta: 9, masked: 0, mlp: 0, pre: 0, throw: 1 });
  const play = lab.button("Play", () => go(!playing), { class: "explore-main" });
  lab.button("Ten times as deep", () => ahead(Math.max(10 * solve.t, 1)));
  lab.button("Throw all again", () => lab.set("throw", lab.state.throw + 1));
  lab.slider("beta", "inverse temperature β", { values: BETAS, text: String });
  lab.toggle("mlp", "an MLP acts as well");
  lab.toggle("masked", "the future is masked");
  lab.choice("pre", "norm", [["0", "post-norm, on the sphere"], ["1", "pre-norm, seen from its centre"]]);

  const field = () => {
    const { beta, masked, mlp, pre } = lab.state;
    const free = flock(beta, { masked: Boolean(masked), places: mlp ? CORNERS : null, pre: Boolean(+pre) });
    return (t, x, out) => {
      free(t, x, out);
      if (held !== null) out.fill(0, 3 * held, 3 * held + 3); // a token in somebody's hand goes where the hand goes
      for (const i of flying.keys()) out.fill(0, 3 * i, 3 * i + 3);
    };
  };

  /** Go on from directions x with a new clock: after a throw, a touch, or another rule. */
  function restart(x) {
    rush = null;
    solve = new Adaptive(field(), x, 0, { rtol: 1e-4, atol: 1e-6 });
    u = directions(solve.x);
    history = [];
    note();
  }

  function note() {
    const { beta } = lab.state;
    history.push({ t: solve.t, places: places(u), energy: energy(u, beta) });
  }

  function fresh() {
    held = chosen = null;
    flying.clear();
    trail = [];
    const x = thrown(lab.state.throw, lab.settings);
    hues = Array.from({ length: COUNT }, (_, i) => Math.round((180 / Math.PI) * Math.atan2(x[3 * i + 1], x[3 * i])));
    restart(x);
  }

  function go(on) {
    playing = on;
    play.textContent = on ? "Pause" : "Play";
    if (on && solve.t >= LAST) restart(u);
    lab.run(on || rush || flying.size ? move : null);
    describe();
  }

  /** Time passes in proportion to the time that has passed, since clusters live exponentially long. */
  function move(seconds) {
    const before = solve.t;
    const until = rush ?? Math.min(solve.t + 0.8 * seconds * (solve.t + 0.4), LAST);
    const stop = performance.now() + 6; // milliseconds: on a slow machine the clock goes slower, and the picture does not
    if (playing || rush) while (!solve.advance(until, 2) && performance.now() < stop);
    if (rush === solve.t) rush = null;
    fly(seconds);
    directions(solve.x, 3, u);
    remember();
    note();
    if (guess !== undefined && before < ASKED_AT && solve.t >= ASKED_AT) answer();
    else describe(rush !== null || playing);
    if (playing && solve.t >= LAST) go(false);
    return playing || rush !== null || flying.size > 0;
  }

  /** Where tokens have been, whenever one of them has come farther than the eye can overlook. */
  function remember() {
    const last = trail.at(-1);
    let least = 1;
    for (let at = 0; last && at < u.length; at += 3) least = Math.min(least, u[at] * last[at] + u[at + 1] * last[at + 1] + u[at + 2] * last[at + 2]);
    if (last && least > Math.cos(0.05)) return;
    trail.push(Float32Array.from(u));
    if (trail.length > TRAIL) trail.shift();
  }

  /** A token that was thrown slides on for a moment, along a great circle. */
  function fly(seconds) {
    for (const [i, velocity] of flying) {
      const at = 3 * i;
      for (let c = 0; c < 3; c++) solve.x[at + c] = u[at + c] + seconds * velocity[c];
      normalise(solve.x, at);
      const along = velocity.reduce((sum, v, c) => sum + v * solve.x[at + c], 0);
      velocity.forEach((v, c) => (velocity[c] = 0.02 ** seconds * (v - along * solve.x[at + c])));
      if (Math.hypot(...velocity) < 0.1) flying.delete(i);
    }
  }

  /** Go to depth t as fast as the machine can. */
  function ahead(t) {
    rush = Math.min(t, LAST);
    if (rush > solve.t) lab.run(move);
    else rush = null;
  }

  // ---- words

  function acting() {
    const { beta, masked, mlp, pre } = lab.state;
    return `β = ${beta}, ${+pre ? "pre-norm" : "post-norm"}, attention${mlp ? " and MLP" : ""}${masked ? ", future masked" : ""}`;
  }

  const stand = (count) => (count === 1 ? "in one place" : `in ${count} places`);

  function describe(patient = false) {
    const now = history.at(-1);
    const end = solve.t >= LAST ? " Here the clock stops." : "";
    lab.say(`${acting()}. At t = ${format(solve.t)} the ${COUNT} tokens stand ${stand(now.places)}; the energy is ${format(100 * now.energy)} % of the largest.${end}`, patient);
  }

  function answer() {
    const count = places(u);
    const right = guess !== null && count >= GUESSES[guess][1] && count <= GUESSES[guess][2];
    const verdict = guess === null ? "" : right ? " You guessed it." : ` You guessed ${GUESSES[guess][0]}.`;
    lab.say(`At t = ${format(solve.t)} the tokens stand ${stand(count)}.${verdict} Let the clock run on, and watch the staircase.`);
    guess = undefined;
  }

  // ---- the picture

  // The view turns the sphere about its axis and then tilts it: x, y, z become right, up, and near to the reader.
  const project = (x, at) => {
    const [sin, cos] = [Math.sin(view.turn), Math.cos(view.turn)];
    const deep = cos * x[at + 1] - sin * x[at];
    const [tilted, level] = [Math.sin(view.tilt), Math.cos(view.tilt)];
    return [cos * x[at] + sin * x[at + 1], level * x[at + 2] - tilted * deep, tilted * x[at + 2] + level * deep];
  };
  const lift = (right, up, near) => {
    const [tilted, level] = [Math.sin(view.tilt), Math.cos(view.tilt)];
    const deep = level * near - tilted * up;
    const [sin, cos] = [Math.sin(view.turn), Math.cos(view.turn)];
    return [cos * right - sin * deep, sin * right + cos * deep, tilted * near + level * up];
  };

  let radius = 1, middle = [0, 0];
  const spot = (x, at) => {
    const [right, up, near] = project(x, at);
    return [middle[0] + radius * right, middle[1] - radius * up, near];
  };

  function paintSphere(c, width, height) {
    radius = Math.min(width, height) / 2 - 14;
    middle = [width / 2, height / 2];
    c.lineWidth = 1;
    c.strokeStyle = lab.colour("ink");
    c.globalAlpha = 0.35;
    c.beginPath();
    c.arc(...middle, radius, 0, 2 * Math.PI);
    c.stroke();
    paintGrid(c);
    if (lab.state.mlp) for (let k = 0; k < 9; k += 3) diamond(c, spot(CORNERS, k));
    const light = lab.dark ? 0.75 : 0.6; // of all hues alike
    const group = groups(u);
    const sizes = new Map();
    for (const first of group) sizes.set(first, (sizes.get(first) ?? 0) + 1);
    c.lineCap = c.lineJoin = "round";
    for (let i = 0; i < COUNT; i++) {
      const [x, y, near] = spot(u, 3 * i);
      c.strokeStyle = c.fillStyle = `oklch(${light} 0.15 ${hues[i]})`;
      c.globalAlpha = near > 0 ? 0.45 : 0.15;
      c.lineWidth = 1.6;
      c.beginPath();
      for (const then of trail) c.lineTo(...spot(then, 3 * i).slice(0, 2));
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
      const [x, y, near] = spot(u, 3 * i);
      c.globalAlpha = near > 0 ? 1 : 0.5;
      c.textAlign = x > middle[0] ? "right" : "left";
      if (size > 3) c.fillText(size, x + (x > middle[0] ? -17 : 17), y + 5);
    }
    if (lab.state.masked) ring(c, spot(u, 0)); // the first token, which sees itself alone
    c.globalAlpha = 1;
  }

  function paintGrid(c) {
    c.globalAlpha = 0.15;
    const point = new Float64Array(3);
    for (let axis = 0; axis < 3; axis++) {
      c.beginPath();
      for (let k = 0; k <= 48; k++) {
        point.fill(0);
        point[axis] = Math.cos((Math.PI * k) / 24);
        point[(axis + 1) % 3] = Math.sin((Math.PI * k) / 24);
        const [x, y, near] = spot(point, 0);
        if (near < 0) c.moveTo(x, y);
        else c.lineTo(x, y);
      }
      c.stroke();
    }
  }

  function ring(c, [x, y]) {
    c.globalAlpha = 1;
    c.strokeStyle = lab.colour("ink");
    c.lineWidth = 2;
    c.beginPath();
    c.arc(x, y, 12, 0, 2 * Math.PI);
    c.stroke();
  }

  function diamond(c, [x, y, near]) {
    c.globalAlpha = near > 0 ? 1 : 0.4;
    c.strokeStyle = lab.colour("mlp");
    c.lineWidth = 2.5;
    c.beginPath();
    for (const [a, b] of [[0, -13], [13, 0], [0, 13], [-13, 0]]) c.lineTo(x + a, y + b);
    c.closePath();
    c.stroke();
  }

  const plots = [
    { title: "places where tokens stand, against depth t", of: (h) => h.places, from: 1, to: COUNT, log: true, marks: [1, 2, 4, 8, 16, 32, 64] },
    { title: "energy, share of the largest", of: (h) => h.energy, from: 0, to: 1, marks: [0, 0.5, 1] },
  ];

  function paintPlots(c, width, height) {
    const [left, right, gap] = [34, width - 10, 42];
    const each = (height - 2 * gap) / 2;
    const across = (t) => left + ((right - left) * Math.log10(Math.max(t, 0.1) / 0.1)) / Math.log10(LAST / 0.1);
    c.font = `13px ${lab.font}`;
    plots.forEach((plot, k) => {
      const top = 22 + k * (each + gap - 4);
      const f = plot.log ? Math.log : (v) => v;
      const up = (value) => top + each - (each * (f(value) - f(plot.from))) / (f(plot.to) - f(plot.from));
      c.fillStyle = c.strokeStyle = lab.colour("ink");
      c.textAlign = "left";
      c.fillText(plot.title, 2, top - 8);
      c.lineWidth = 1;
      for (const mark of plot.marks) {
        c.globalAlpha = 0.15;
        line(c, left, up(mark), right, up(mark));
        c.globalAlpha = 1;
        c.textAlign = "right";
        c.fillText(String(mark), left - 5, up(mark) + 4);
      }
      c.textAlign = "center";
      for (let power = -1; power <= 4; power++) {
        c.globalAlpha = 0.15;
        line(c, across(10 ** power), top, across(10 ** power), top + each);
        c.globalAlpha = 1;
        if (k === 1) c.fillText(["0.1", "1", "10", "100", "1000", "10⁴"][power + 1], Math.min(across(10 ** power), right - 4), top + each + 18);
      }
      c.strokeStyle = lab.colour(k ? "mlp" : "attention");
      c.lineWidth = 2.5;
      c.beginPath();
      for (const h of history) c.lineTo(across(h.t), up(plot.of(h)));
      c.stroke();
    });
  }

  const { canvas, box } = lab.canvas("A sphere with 64 tokens and the paths that they have come. What it shows is said in the text below.", (width) => Math.min(width, 420), paintSphere, { class: "explore-grab" });
  lab.canvas("Two curves against depth t on a logarithmic axis: the number of places where tokens stand, and the energy.", (width) => Math.min(Math.max(0.8 * width, 260), 420), paintPlots);

  // ---- hands and keys

  /** The token nearest to a point of the sphere's side that we see, if it is within reach of a finger. */
  function nearest(x, y) {
    let [best, reach] = [null, 24];
    for (let i = 0; i < COUNT; i++) {
      const [px, py, near] = spot(u, 3 * i);
      const distance = Math.hypot(px - x, py - y);
      if (near > 0 && distance < reach) [best, reach] = [i, distance];
    }
    return best;
  }

  const place = (i, x, y) => {
    let [right, up] = [(x - middle[0]) / radius, (middle[1] - y) / radius];
    const length = Math.hypot(right, up);
    if (length > 0.999) [right, up] = [(0.999 * right) / length, (0.999 * up) / length];
    lift(right, up, Math.sqrt(1 - right ** 2 - up ** 2)).forEach((value, c) => (solve.x[3 * i + c] = u[3 * i + c] = value));
    lab.redraw();
  };

  let drag = null; // {turning} or {last: [time, x, y, z]}, the newest first
  const within = (event) => {
    const edge = canvas.getBoundingClientRect();
    return [event.clientX - edge.left, event.clientY - edge.top];
  };
  canvas.addEventListener("touchstart", (event) => nearest(...within(event.touches[0])) !== null && event.preventDefault(), { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    const [x, y] = within(event);
    const i = nearest(x, y);
    canvas.setPointerCapture(event.pointerId);
    drag = { from: [x, y], view: { ...view }, last: [] };
    if (i === null) return;
    held = chosen = i;
    flying.delete(i);
    restart(u);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = within(event);
    if (!drag) return void (canvas.style.cursor = nearest(x, y) === null ? "move" : "grab");
    if (held === null) {
      const tilt = event.pointerType === "touch" ? 0 : (y - drag.from[1]) / radius;
      view = { turn: drag.view.turn + (x - drag.from[0]) / radius, tilt: Math.max(-1.5, Math.min(1.5, drag.view.tilt + tilt)) };
      return lab.redraw();
    }
    place(held, x, y);
    drag.last = [[event.timeStamp, ...u.slice(3 * held, 3 * held + 3)], ...drag.last.slice(0, 4)];
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, (event) => {
      const [newest, oldest] = [drag?.last[0], drag?.last.at(-1)];
      if (held !== null && newest && newest[0] > oldest[0] && event.timeStamp - newest[0] < 80) {
        const velocity = [1, 2, 3].map((c) => (1000 * (newest[c] - oldest[c])) / (newest[0] - oldest[0]));
        if (Math.hypot(...velocity) > 0.6) flying.set(held, velocity);
      }
      const touched = held !== null;
      held = drag = null;
      if (touched) {
        restart(u);
        go(playing || !lab.calm);
      }
    });

  const token = () => chosen ?? 0;
  lab.handle({
    box,
    looks: "ring",
    label: () => `Token ${token() + 1} of ${COUNT}${spot(u, 3 * token())[2] < 0 ? ", on the far side" : ""}. Arrow keys move it, Page Up and Page Down choose another`,
    at: () => spot(u, 3 * token()).slice(0, 2),
    move: (x, y) => {
      place(token(), x, y);
      restart(u);
      describe(true);
    },
    key: (event) => {
      const way = { PageUp: -1, PageDown: 1 }[event.key];
      if (!way) return false;
      chosen = (token() + way + COUNT) % COUNT;
      lab.redraw();
      return true;
    },
  }).classList.add("explore-key");

  // ---- beginning, and what changes

  lab.changed((names) => {
    if (names.includes("throw")) fresh();
    else restart(u);
    guess = undefined;
    lab.guesses.replaceChildren(); // who plays already need not guess
    go(playing || !lab.calm);
  });
  lab.onreset = () => {
    view = { ...FRONT };
    begin();
  };

  function begin() {
    fresh();
    go(lab.linked && !lab.calm);
    if (lab.linked) return;
    lab.ask(TASK, GUESSES.map(([words]) => words), (index) => {
      guess = index;
      if (lab.calm) ahead(ASKED_AT);
      else go(true);
    });
  }

  begin();
}

function normalise(x, at) {
  const length = Math.hypot(x[at], x[at + 1], x[at + 2]);
  for (let c = 0; c < 3; c++) x[at + c] /= length;
}
