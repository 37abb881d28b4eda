// The flock on the sphere: tokens that attract each other, as chapter 6 has them, thrown and dragged by hand.
import { Adaptive } from "./core.js";
import { directions, energy, flock, groups, pack, unpack } from "./flock-field.js";
import { drawPlots, drawSphere } from "./flock-pictures.js";
import { Sphere } from "./sphere.js";
import { format, random } from "./tools.js";

const CORNERS = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1); // where the MLP drives tokens
const COUNT = 64;
const BETAS = [0, 1, 2, 3, 4, 6, 9, 12, 16, 24];
const LAST = 10_000;
const TRAIL = 50; // places of a token that are remembered
const ASKED_AT = 25;
const GUESSES = [
  ["one", 1, 1],
  ["2 or 3", 2, 3],
  ["4 to 6", 4, 6],
  ["7 or more", 7, COUNT],
];
const TASK =
  "64 tokens attract each other, and each sees best what is near (β = 9). In how many places will they stand at depth t = 25?";

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
  let solve, u, group, trail, history, hues, held, chosen, guess, playing;
  let rush = null; // a depth to be reached at once
  const view = new Sphere();

  // `from` is where the tokens were when the clock was started, if that is not where they were thrown.
  lab.begin({ beta: 9, masked: 0, mlp: 0, pre: 0, throw: 1, from: "", t: 0 });
  const play = lab.button("Play", () => go(!playing), { class: "explore-main" });
  lab.button("Ten times as deep", () => ahead(Math.max(10 * solve.t, 1)));
  lab.button("Throw all again", () => lab.set("throw", lab.state.throw + 1));
  lab.slider("beta", "inverse temperature β", { values: BETAS, text: String });
  lab.toggle("mlp", "an MLP acts as well");
  lab.toggle("masked", "the future is masked");
  lab.choice("pre", "norm", [
    ["0", "post-norm, on the sphere"],
    ["1", "pre-norm, seen from its centre"],
  ]);

  const field = () => {
    const { beta, masked, mlp, pre } = lab.state;
    const free = flock(beta, { masked: Boolean(masked), places: mlp ? CORNERS : null, pre: Boolean(+pre) });
    return (t, x, out) => {
      free(t, x, out);
      if (held !== null) out.fill(0, 3 * held, 3 * held + 3); // a token in somebody's hand goes where the hand goes
      for (const i of flying.keys()) out.fill(0, 3 * i, 3 * i + 3);
    };
  };

  /** Go on from where the tokens are with a new clock: after a touch, or by another rule. The address has to say where. */
  function again() {
    if (solve.t > 0 || lab.state.from || chosen !== null) lab.state.from = pack(u);
    lab.state.t = 0;
    guess = undefined;
    lab.guesses.replaceChildren(); // who plays already need not guess
    restart(unpack(lab.state.from, COUNT) ?? u);
    lab.hold();
  }

  function restart(x) {
    rush = null;
    solve = new Adaptive(field(), x, 0, { rtol: 1e-4, atol: 1e-6 });
    u = directions(solve.x);
    history = [];
    note();
  }

  function note() {
    const { beta } = lab.state;
    group = groups(u);
    history.push({ t: solve.t, places: new Set(group).size, energy: energy(u, beta) });
  }

  function fresh() {
    held = chosen = null;
    flying.clear();
    trail = [];
    const x = thrown(lab.state.throw, lab.settings);
    hues = Array.from({ length: COUNT }, (_, i) => Math.round((180 / Math.PI) * Math.atan2(x[3 * i + 1], x[3 * i])));
    restart(unpack(lab.state.from, COUNT) ?? x);
    ahead(lab.state.t);
  }

  function go(on) {
    playing = on;
    play.textContent = on ? "Pause" : "Play";
    if (on && solve.t >= LAST) again();
    if (on) lab.guesses.replaceChildren();
    lab.run(on || rush || flying.size ? move : null);
    if (!on) stay();
    describe();
  }

  /** The clock stands: the address says where. */
  function stay() {
    const t = +(rush ?? solve.t).toPrecision(6);
    if (t === lab.state.t) return;
    lab.state.t = t;
    lab.hold();
  }

  /** Time passes in proportion to the time that has passed, since clusters live exponentially long. */
  function move(seconds) {
    const before = solve.t;
    const end = guess === undefined || before >= ASKED_AT ? LAST : ASKED_AT; // there the answer stands still
    const until = rush ?? Math.min(solve.t + 0.8 * seconds * (solve.t + 0.4), end);
    const stop = performance.now() + 6; // milliseconds: on a slow machine the clock goes slower, and the picture does not
    while ((playing || rush) && solve.t < until && performance.now() < stop) {
      solve.advance(rush ? Math.min(until, 1.1 * solve.t + 0.05) : until, 2);
      if (rush) see(); // so that paths and curves are what they are for who watches
    }
    if (rush === solve.t) {
      rush = null;
      stay();
    }
    const flew = flying.size;
    fly(seconds);
    see();
    if (flew && !flying.size) again();
    if (playing && solve.t >= LAST) go(false);
    if (guess !== undefined && before < ASKED_AT && solve.t >= ASKED_AT) answer();
    else describe(rush !== null || playing);
    return playing || rush !== null || flying.size > 0;
  }

  function see() {
    directions(solve.x, 3, u);
    remember();
    note();
  }

  /** Where tokens have been, whenever one of them has come farther than the eye can overlook. */
  function remember() {
    const last = trail.at(-1);
    let least = 1;
    for (let at = 0; last && at < u.length; at += 3)
      least = Math.min(least, u[at] * last[at] + u[at + 1] * last[at + 1] + u[at + 2] * last[at + 2]);
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
    lab.say(
      `${acting()}. At t = ${format(solve.t)} the ${COUNT} tokens stand ${stand(now.places)}; the energy is ${format(100 * now.energy)} % of the largest.${end}`,
      patient,
    );
  }

  function answer() {
    go(false);
    const count = history.at(-1).places;
    const right = guess !== null && count >= GUESSES[guess][1] && count <= GUESSES[guess][2];
    const verdict = guess === null ? "" : right ? " You guessed it." : ` You guessed ${GUESSES[guess][0]}.`;
    lab.say(
      `At t = ${format(solve.t)} the tokens stand ${stand(count)}.${verdict} Now let the clock run on: is that the end?`,
    );
    guess = undefined;
  }

  // ---- the pictures

  const { canvas, box } = lab.canvas(
    "A sphere with 64 tokens and the paths that they have come. What it shows is said in the text below.",
    (width) => Math.min(width, 420),
    (c, width, height) => drawSphere(c, width, height, lab, { view, u, group, trail, hues, corners: CORNERS }),
    { class: "explore-grab" },
  );
  lab.canvas(
    "Two curves against depth t on a logarithmic axis: the number of places where tokens stand, and the energy.",
    (width) => Math.min(Math.max(0.8 * width, 260), 420),
    (c, width, height) => drawPlots(c, width, height, lab, { history, count: COUNT, last: LAST }),
  );

  // ---- hands and keys

  /** The token nearest to a point of the sphere's side that we see, if it is within reach of a finger. */
  function nearest(x, y) {
    let [best, reach] = [null, 24];
    for (let i = 0; i < COUNT; i++) {
      const [px, py, near] = view.spot(u, 3 * i);
      const distance = Math.hypot(px - x, py - y);
      if (near > 0 && distance < reach) [best, reach] = [i, distance];
    }
    return best;
  }

  const place = (i, x, y) => {
    view.point(x, y).forEach((value, c) => (solve.x[3 * i + c] = u[3 * i + c] = value));
    lab.redraw();
  };

  let drag = null; // where it began, and the last places of a held token: [time, x, y, z], the newest first
  const within = (event) => {
    const edge = canvas.getBoundingClientRect();
    return [event.clientX - edge.left, event.clientY - edge.top];
  };
  canvas.addEventListener(
    "touchstart",
    (event) => nearest(...within(event.touches[0])) !== null && event.preventDefault(),
    { passive: false },
  );
  canvas.addEventListener("pointerdown", (event) => {
    if (drag) return; // a second finger
    const [x, y] = within(event);
    const i = nearest(x, y);
    canvas.setPointerCapture(event.pointerId);
    drag = { id: event.pointerId, from: [x, y], turn: view.turn, tilt: view.tilt, last: [] };
    if (i === null) return;
    held = chosen = i;
    flying.delete(i);
    restart(u);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = within(event);
    if (drag && drag.id !== event.pointerId) return;
    if (!drag) return void (canvas.style.cursor = nearest(x, y) === null ? "move" : "grab");
    if (held === null) {
      const tilt = event.pointerType === "touch" ? 0 : (y - drag.from[1]) / view.radius;
      view.turn = drag.turn + (x - drag.from[0]) / view.radius;
      view.tilt = Math.max(-1.5, Math.min(1.5, drag.tilt + tilt));
      return lab.redraw();
    }
    place(held, x, y);
    drag.last = [[event.timeStamp, ...u.slice(3 * held, 3 * held + 3)], ...drag.last.slice(0, 4)];
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, (event) => {
      if (drag?.id !== event.pointerId) return;
      const [newest, oldest] = [drag.last[0], drag.last.at(-1)];
      if (held !== null && newest && newest[0] > oldest[0] && event.timeStamp - newest[0] < 80) {
        const velocity = [1, 2, 3].map((c) => (1000 * (newest[c] - oldest[c])) / (newest[0] - oldest[0]));
        if (Math.hypot(...velocity) > 0.6) flying.set(held, velocity);
      }
      const touched = held !== null;
      held = drag = null;
      if (touched) {
        again();
        go(playing || !lab.calm);
      }
    });

  const token = () => chosen ?? 0;
  lab
    .handle({
      box,
      looks: "ring",
      label: () =>
        `Token ${token() + 1} of ${COUNT}${view.spot(u, 3 * token())[2] < 0 ? ", on the far side" : ""}. Arrow keys move it, Page Up and Page Down choose another`,
      at: () => view.spot(u, 3 * token()).slice(0, 2),
      move: (x, y) => {
        chosen = token();
        place(chosen, x, y);
        again();
        describe(true);
      },
      key: (event) => {
        const way = { PageUp: -1, PageDown: 1 }[event.key];
        if (!way) return false;
        chosen = (token() + way + COUNT) % COUNT;
        lab.redraw();
        return true;
      },
    })
    .classList.add("explore-key");

  // ---- beginning, and what changes

  lab.changed((names) => {
    guess = undefined;
    lab.guesses.replaceChildren();
    if (names.length === 1 && names[0] === "throw") [lab.state.from, lab.state.t] = ["", 0];
    if (names.includes("throw")) fresh();
    else again();
    go(!rush && (playing || !lab.calm));
  });
  lab.onreset = () => {
    view.front();
    begin();
  };

  function begin() {
    fresh();
    go(lab.linked && !rush && !lab.calm);
    if (lab.linked) return;
    lab.ask(
      TASK,
      GUESSES.map(([words]) => words),
      (index) => {
        guess = index;
        if (lab.calm) ahead(ASKED_AT);
        else go(true);
      },
    );
  }

  begin();
}

function normalise(x, at) {
  const length = Math.hypot(x[at], x[at + 1], x[at + 2]);
  for (let c = 0; c < 3; c++) x[at + c] /= length;
}
