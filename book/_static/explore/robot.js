// The robot of chapter 8 is parked by hand here, and the moves of the splittings are replayed.
import { chart, curve, empty } from "./chart.js";
import { disc, format, line, make } from "./frame.js";
import { ORDERS, around, bracket, mended, miss, parse, press, stops, write } from "./robot-moves.js";

const ASIDE = 0.5;
const GOALS = {
  park: { words: "park half a metre to the right", at: [0, -ASIDE, 0], view: [-1.1, 1.3, -1.1, 0.6] },
  half: { words: "walk half a circle", at: [0, 2, Math.PI], view: [-1.6, 1.9, -0.5, 2.6] },
};
const SIDE = Math.sqrt(ASIDE); // the size of the bracket's moves that ask for that much
const REPLAYS = {
  park: {
    "walk, turn, walk back, turn back": () => bracket(SIDE),
    "the same, half of the last turn made first": () => mended(SIDE),
  },
  half: Object.fromEntries(Object.keys(ORDERS).map((order) => [order, (n) => around(order, n)])),
};
const STEPS = [1, 2, 3, 4, 6, 8, 12, 16, 24];
const NEAR = 0.1; // metres, and radians: so near counts as parked
const TAP = 0.04; // seconds: what the shortest press does
const KEYS = { ArrowUp: "f", ArrowDown: "b", ArrowLeft: "l", ArrowRight: "r" };

export function mount(lab) {
  let moves = [];
  let queue = []; // moves of a replay that are still to come
  const misses = new Map(); // of the half circle: by number of steps
  let replayed = null;
  let answer = null; // an answer, which stays until the robot moves again
  const held = new Set();

  lab.begin({ goal: "park", drive: "", replay: "", steps: 4 });
  const pad = make("div", { class: "explore-pad", role: "group", "aria-label": "Drive" });
  lab.panel.append(pad);
  for (const [button, label] of [
    ["f", "▲ Walk"],
    ["l", "◀ Turn left"],
    ["r", "Turn right ▶"],
    ["b", "▼ Back"],
  ]) {
    const element = lab.button(label, (event) => event.detail === 0 && tap(button, 0.1), {
      into: pad,
      class: `explore-${button}`,
    });
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      hold(button);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
      element.addEventListener(end, () => release(button));
    element.addEventListener("contextmenu", (event) => event.preventDefault());
  }
  lab.button("Back to the start", () => (again(), done()));
  lab.choice(
    "goal",
    "goal",
    Object.entries(GOALS).map(([name, { words }]) => [name, words]),
  );
  const replays = make("select", { autocomplete: "off", onchange: () => lab.set("replay", replays.value) });
  lab.panel.append(make("label", { class: "explore-choice" }, "moves ", replays));
  lab.button("Replay", () => replay());
  lab.slider("steps", "steps", { values: STEPS, text: (n) => `${n}, h = ${format(Math.PI / n)}` });
  const slider = lab.panel.querySelector(".explore-slider");

  // ---- driving

  /** The moves that the state says: a drive by hand, or a replay by its name. */
  function asked() {
    const { drive, goal, steps } = lab.state;
    replayed = drive === "replay" ? replays.value : null;
    return replayed ? REPLAYS[goal][replayed](steps) : parse(drive);
  }

  const now = () => stops(moves).at(-1);
  const goal = () => GOALS[lab.state.goal];

  /** Hold the pressed buttons for a time: a new move, or a longer last one. */
  function drive(buttons, time) {
    const last = moves.at(-1);
    if (last?.[0] === buttons) last[1] += time;
    else moves.push([buttons, time]);
  }

  function tap(button, time = TAP) {
    stop();
    drive(button, time);
    done();
  }

  function hold(button) {
    if (held.has(button)) return;
    stop();
    lab.guesses.replaceChildren();
    held.add(button);
    drive([...held].sort().join(""), TAP);
    lab.run((seconds) => {
      if (!held.size) return false;
      drive([...held].sort().join(""), seconds);
      describe(true);
      return true;
    });
  }

  function release(button) {
    if (held.delete(button) && !held.size) done();
  }

  function done() {
    lab.set("drive", replayed in REPLAYS[lab.state.goal] ? "replay" : write(moves));
  }

  function stop() {
    queue = [];
    replayed = answer = null;
  }

  function again() {
    held.clear();
    stop();
    moves = [];
  }

  /** Start anew and make the given moves, at twice the robot's pace. */
  function show(given, name) {
    again();
    [queue, replayed] = [given.map((move) => [...move]), name];
    if (lab.calm) [moves, queue] = [queue, []];
    if (!queue.length) return done();
    lab.run((seconds) => {
      for (let left = 2 * seconds; left > 0 && queue.length;) {
        const time = Math.min(left, queue[0][1]);
        drive(queue[0][0], time);
        left -= time;
        if ((queue[0][1] -= time) < 1e-9) queue.shift();
      }
      if (!queue.length) {
        moves = given;
        done();
      }
      return queue.length > 0;
    });
  }

  function replay() {
    lab.guesses.replaceChildren();
    const { goal, steps } = lab.state;
    const name = replays.value;
    if (goal === "half") misses.set(steps, miss(stops(around(name, steps)).at(-1), GOALS.half.at));
    show(REPLAYS[goal][name](steps), name);
  }

  // ---- words

  const seconds = (list) => list.reduce((sum, [buttons, time]) => sum + buttons.length * time, 0);
  const heading = (angle) => {
    const degrees = Math.round((angle * 180) / Math.PI);
    return degrees ? `${Math.abs(degrees)}° to the ${degrees > 0 ? "left" : "right"} of east` : "east";
  };
  const fixed = (value) =>
    value
      .toFixed(2)
      .replace("-", "−")
      .replace(/^−(0\.00)$/, "$1");

  function describe(patient = false) {
    if (answer) return lab.say(answer);
    const [x, y, angle] = now();
    const off = miss([x, y, angle], goal().at);
    const there = Math.hypot(x - goal().at[0], y - goal().at[1]) < NEAR && Math.abs(angle - goal().at[2]) < NEAR;
    const who = replayed
      ? `Replayed: ${replayed}${lab.state.goal === "half" ? `, ${lab.state.steps} times` : ""}. The robot`
      : "Your robot";
    const where = `${who} is at (${fixed(x)}, ${fixed(y)}) and looks ${heading(angle)}`;
    if (!moves.length)
      return lab.say(
        `Goal: ${goal().words}, where the dashed robot is. Yours stands at (0, 0) and looks east. Hold a button, or the arrow keys when the picture has the focus; two at once go, too.`,
        patient,
      );
    const count = `${moves.length} ${moves.length === 1 ? "move" : "moves"}, ${fixed(seconds(moves))} s of buttons`;
    const judged = there ? `There, in ${count}.` : `It is ${format(off)} from the goal, after ${count}.`;
    const best =
      lab.state.goal === "park" && there && !replayed
        ? ` The bracket with half of its last turn made first takes ${fixed(seconds(mended(SIDE)))} s.`
        : "";
    lab.say(`${where}. ${judged}${best}${replayed ? halves() : ""}`, patient);
  }

  function halves() {
    const { goal, steps } = lab.state;
    if (goal !== "half") return "";
    const far = (n) => miss(stops(around(replays.value, n)).at(-1), GOALS.half.at);
    return ` Steps half as long make the miss ${format(far(steps) / far(2 * steps), 3)} times smaller.`;
  }

  function begin() {
    again();
    misses.clear();
    moves = asked();
    describe();
    if (lab.linked) return;
    lab.ask(
      `Walk, turn, walk back, turn back, half a second each, and the robot ends ${fixed(-stops(bracket(0.5)).at(-1)[1])} m to the right of its start. Make all four presses half as long: how far does it get?`,
      ["as far", "half as far", "a quarter of it", "nowhere"],
      (index) => {
        const aside = -stops(bracket(0.25)).at(-1)[1];
        const verdict = index === null ? "" : index === 2 ? " You guessed it." : " You guessed otherwise.";
        show(bracket(0.25), "four presses of a quarter of a second");
        answer = `It ends ${format(aside)} m to the right: half the presses, about a quarter of the way.${verdict} Now park it yourself, half a metre to the right.`;
        describe();
      },
    );
  }

  // ---- the picture

  let view = GOALS.park.view,
    scale = 1,
    tall = 1;
  const pixel = ([x, y]) => [(x - view[0]) * scale, tall - (y - view[2]) * scale];

  function paintRobot(c, [x, y, angle], colour, dashed) {
    const [px, py] = pixel([x, y]);
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

  function paintPlane(c, width, height) {
    tall = height;
    const states = stops(moves);
    view = [...goal().view];
    for (const [x, y] of states)
      view = [
        Math.min(view[0], x - 0.2),
        Math.max(view[1], x + 0.2),
        Math.min(view[2], y - 0.2),
        Math.max(view[3], y + 0.2),
      ];
    scale = Math.min(width / (view[1] - view[0]), height / (view[3] - view[2]));
    const spare = [width / scale - (view[1] - view[0]), height / scale - (view[3] - view[2])];
    view = [view[0] - spare[0] / 2, view[1] + spare[0] / 2, view[2] - spare[1] / 2, view[3] + spare[1] / 2];
    c.strokeStyle = lab.colour("ink");
    c.lineWidth = 1;
    c.globalAlpha = 0.12;
    const mesh = 10 ** Math.floor(Math.log10((view[1] - view[0]) / 1.5)) / 2;
    for (let x = Math.ceil(view[0] / mesh) * mesh; x <= view[1]; x += mesh)
      line(c, pixel([x, 0])[0], 0, pixel([x, 0])[0], height);
    for (let y = Math.ceil(view[2] / mesh) * mesh; y <= view[3]; y += mesh)
      line(c, 0, pixel([0, y])[1], width, pixel([0, y])[1]);
    c.globalAlpha = 1;
    if (lab.state.goal === "half") paintArc(c);
    paintRobot(c, goal().at, "rk4", true);
    c.fillStyle = lab.colour("ink");
    disc(c, pixel([0, 0]), 4);
    c.strokeStyle = lab.colour("usual");
    c.lineWidth = 2.5;
    c.lineJoin = "round";
    c.beginPath();
    states.forEach((state, k) => {
      const [buttons, time] = moves[k - 1] ?? ["", 0];
      const parts = buttons.length > 1 ? 12 : 1; // two buttons at once go along an arc
      for (let i = 1; i <= parts; i++)
        c.lineTo(...pixel(k ? press(states[k - 1], buttons, (time * i) / parts) : state));
    });
    c.stroke();
    c.fillStyle = lab.colour("usual");
    if (moves.length < 80) for (const state of states.slice(1)) disc(c, pixel(state), 3.5);
    paintRobot(c, states.at(-1), "usual", false);
  }

  function paintArc(c) {
    c.strokeStyle = lab.colour("rk4");
    c.lineWidth = 2;
    c.beginPath();
    for (let k = 0; k <= 40; k++) c.lineTo(...pixel(press([0, 0, 0], "fl", (Math.PI * k) / 40)));
    c.stroke();
  }

  function paintMisses(c, width, height) {
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

  const { canvas } = lab.canvas(
    "The floor from above: arrow keys drive the robot, up and down walk, left and right turn.",
    (width) => Math.min(0.75 * width, 380),
    paintPlane,
    { role: "application", tabindex: 0 },
  );
  canvas.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS)) return;
    event.preventDefault();
    if (!event.repeat) hold(KEYS[event.key]);
  });
  canvas.addEventListener("keyup", (event) => event.key in KEYS && release(KEYS[event.key]));
  canvas.addEventListener("blur", () => held.size && (held.clear(), done()));
  const plot = lab.canvas(
    "How far the robot ends from the goal against the number of steps, both on logarithmic axes.",
    (width) => Math.min(Math.max(0.7 * width, 230), 320),
    paintMisses,
  );

  // ---- what changes

  /** What can be replayed depends on the goal. */
  function list() {
    const { goal, replay } = lab.state;
    const names = Object.keys(REPLAYS[goal]);
    replays.replaceChildren(...names.map((name) => new Option(name, name)));
    replays.value = names.includes(replay) ? replay : names[0];
    const hide = goal === "park";
    if (hide === slider.hidden) return;
    slider.hidden = plot.box.hidden = hide;
    lab.resize();
  }
  lab.controls.replay = list;

  lab.changed((names) => {
    list();
    if (names.length === 1 && names[0] === "goal") {
      again();
      lab.state.drive = lab.state.replay = "";
      list();
    }
    if (names.includes("goal") || names.includes("replay")) misses.clear();
    if (names.length > 1) moves = asked(); // the address has changed, or all begins again
    describe();
  });
  lab.onreset = begin;
  list();
  begin();
}
