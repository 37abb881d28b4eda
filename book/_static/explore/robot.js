// The robot of chapter 8 is parked by hand here, and the moves of the splittings are replayed.
import { ORDERS, around, bracket, mended, miss, parse, stops, write } from "./robot-moves.js";
import { drawFloor, drawMisses } from "./robot-pictures.js";
import { format, make } from "./tools.js";

const ASIDE = 0.5;
const GOALS = {
  park: { words: "park half a metre to the right", at: [0, -ASIDE, 0], view: [-1.1, 1.3, -1.1, 0.6] },
  half: { words: "walk half a circle", at: [0, 2, Math.PI], view: [-1.6, 1.9, -0.5, 2.6], arc: ["fl", Math.PI] },
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
    if (replayed) note();
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
    note();
    show(REPLAYS[goal][replays.value](steps), replays.value);
  }

  /** A point of the plot: how far the chosen moves end from the half circle's end. */
  function note() {
    const { goal, steps } = lab.state;
    if (goal === "half") misses.set(steps, miss(stops(around(replays.value, steps)).at(-1), GOALS.half.at));
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

  // ---- the pictures

  const { canvas } = lab.canvas(
    "The floor from above: arrow keys drive the robot, up and down walk, left and right turn.",
    (width) => Math.min(0.75 * width, 380),
    (c, width, height) => drawFloor(c, width, height, lab, { moves, goal: goal() }),
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
    (c, width, height) => drawMisses(c, width, height, lab, misses),
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
