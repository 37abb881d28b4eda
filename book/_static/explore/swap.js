// Swap the solver of a trained network: sixty garments, seven kinds of five networks each, and any rule and step size.
//
// Nothing is trained here. The weights stay, and only the way in which their equation is solved is another; what the
// networks answer then is computed by networks.js in a worker beside the page.

import { make } from "./tools.js";
import { RULES, size, solver } from "./solvers.js";
import { Garments } from "./swap-garments.js";
import { drawPaths, drawScores, FOOT, resample, widen } from "./swap-pictures.js";

// Kinds of networks, what they are called, and the rule and the steps in each layer with which they were trained.
const KINDS = [
  ["euler", "Euler, h = 1", "euler", 1],
  ["euler-half", "Euler, h = 1/2", "euler", 2],
  ["euler-quarter", "Euler, h = 1/4", "euler", 4],
  ["euler-eighth", "Euler, h = 1/8", "euler", 8],
  ["lie-trotter", "usual layers, h = 1", "lie-trotter", 1],
  ["midpoint", "midpoint, h = 1", "midpoint", 1],
  ["rk4", "RK4, h = 1", "rk4", 1],
];
const ACCURATE = ["rk4", 4];
const STEPS = [1, 2, 3, 4, 6, 8]; // in each layer
const SEEDS = [0, 1, 2, 3, 4];
const GARMENTS = 60;
const GUESSES = ["At most 5", "About 15", "About 30", "50 or more"];

const about = (kind) => KINDS.find(([name]) => name === kind);
const own = (kind) => about(kind).slice(2);
const range = (numbers) => {
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  return low === high ? `${low}` : `${low} to ${high}`;
};

class Swap {
  constructor(lab) {
    this.lab = lab;
    this.known = new Map();
    this.job = 0;
    lab.begin({ kind: "euler", rule: "euler", steps: 1, seed: 0, garment: 19 });
    lab.controls.garment = () => {
      const { garment } = lab.state;
      if (!(Number.isInteger(garment) && garment >= 0 && garment < GARMENTS)) lab.state.garment = lab.defaults.garment;
    };
    lab.controls.garment();
    this.garments = new Garments((i) => lab.set("garment", i));
    lab.stage.append(this.garments.element, lab.panel); // what one turns stands beside what it changes
    const shape = (width) => Math.min(width * 0.8, 340);
    const draw = (picture, view) => (c, width, height) => picture(c, width, height, lab, view());
    lab.canvas(
      "Paths of the sixty garments through the network",
      shape,
      draw(drawPaths, () => this.view),
    );
    this.plot = lab.canvas(
      "Right answers of sixty against the step size",
      shape,
      draw(drawScores, () => this.scores),
    );
    lab.choice("kind", "Networks trained with", KINDS);
    lab.choice("rule", "solved by", RULES);
    lab.slider("steps", "step h", { values: STEPS, text: size });
    lab.choice(
      "seed",
      "shown:",
      SEEDS.map((seed) => [String(seed), `network ${seed + 1} of 5`]),
    );
    const legend =
      "Paths: ○ ends right, × wrong; the marked garment's has a ■ for each step, and the thin line is its accurate " +
      "solution. Dots: five networks, the shown one's filled; the grey band is where they were as trained.";
    lab.stage.append(make("p", { class: "explore-legend" }, legend));
    lab.handle({
      box: this.plot.box,
      label: () => `step size ${size(lab.state.steps)}`,
      at: () => [this.column(lab.state.steps), this.plot.canvas.offsetHeight - FOOT + 34],
      move: (x) => this.drag(x),
      key: ({ key }) => this.go({ ArrowLeft: -1, ArrowRight: 1 }[key]),
      looks: "ring",
      colour: "ink",
    });
    lab.changed((names) => this.follow(names));
    lab.onreset = () => this.question();
    this.worker = new Worker(new URL("swap.worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = () => this.hear({ error: "the networks could not be started: reload the page" });
    lab.say("The networks are on their way.");
    this.question();
    this.ask();
  }

  // ---- what is asked for, and what comes back

  key(seed = this.seed, [rule, steps] = [this.lab.state.rule, this.lab.state.steps]) {
    return `${this.lab.state.kind} ${seed} ${rule} ${steps}`;
  }

  get count() {
    return this.garments.count;
  }

  get seed() {
    return Number(this.lab.state.seed);
  }

  /** What all five networks answered by a rule, as far as they are computed to the end. */
  five(setting) {
    const all = SEEDS.map((seed) => this.known.get(this.key(seed, setting)));
    return all.filter((result) => result && result.done === this.count);
  }

  ask() {
    const { kind, rule, steps } = this.lab.state;
    const seeds = [this.seed, ...SEEDS.filter((seed) => seed !== this.seed)];
    const tasks = [];
    const want = (seed, [rule, steps]) => tasks.push({ kind, seed, rule, steps });
    want(seeds[0], [rule, steps]);
    want(seeds[0], own(kind));
    for (const seed of seeds.slice(1)) for (const setting of [[rule, steps], own(kind)]) want(seed, setting);
    want(seeds[0], ACCURATE);
    this.worker.postMessage({ job: ++this.job, tasks });
  }

  hear({ garments, result, finished, error }) {
    if (error) return this.lab.say(`Something is missing here: ${error}.`);
    if (garments) {
      this.garments.unpack(garments);
      this.mark();
    }
    if (result) {
      this.known.set(result.key, result);
      if (result.key === this.key()) this.show(result);
      if (result.done === this.count && result.seed === this.seed) this.tell();
      this.lab.redraw();
    }
    if (finished === this.job) this.tell();
  }

  follow(names) {
    const { lab } = this;
    if (names.length === 1 && names[0] === "kind") [lab.state.rule, lab.state.steps] = own(lab.state.kind);
    if (names.includes("kind")) for (const name of ["rule", "steps"]) lab.controls[name]();
    if (names.some((name) => ["kind", "seed"].includes(name))) this.limits = null;
    if (names.some((name) => name !== "garment")) {
      this.guess = names.includes("guess") ? this.guess : null;
      this.ask();
      const result = this.known.get(this.key());
      if (result) this.show(result);
    } else this.tell();
    this.mark();
  }

  mark() {
    const { kind, garment } = this.lab.state;
    this.garments.mark(this.known.get(this.key()), this.known.get(this.key(this.seed, own(kind))), garment);
  }

  question() {
    const { lab } = this;
    this.guess = null;
    if (Object.keys(lab.defaults).some((name) => String(lab.state[name]) !== String(lab.defaults[name]))) return;
    const question =
      "These networks were trained with Euler steps of h = 1. Solve their equations accurately instead, by RK4 with " +
      "h = 1/4: how many of the sixty answers will change?";
    lab.ask(question, GUESSES, (index) => {
      const guess = index === null ? null : GUESSES[index].toLowerCase();
      lab.state.rule = ACCURATE[0];
      lab.set("steps", ACCURATE[1]);
      lab.controls.rule();
      this.guess = guess;
    });
  }

  // ---- the paths

  show(result) {
    this.target = resample(result);
    this.drawn = result;
    const fresh = !this.limits;
    // The frame holds all that was seen of a network, so that the picture does not jump while one compares.
    this.limits = widen(this.target, this.computed, this.limits);
    this.bending = !fresh && this.now && !this.lab.calm;
    if (this.bending) this.lab.run((seconds) => (this.bending = this.bend(seconds)));
    else this.now = this.target.slice();
    this.mark();
  }

  /** So many numbers of the lines are computed; where a garment waits for its turn, its last path stays. */
  get computed() {
    return (this.drawn.done * this.target.length) / this.count;
  }

  bend(seconds) {
    const { now, target, computed } = this;
    const share = 1 - Math.exp(-seconds / 0.08);
    let most = 0;
    for (let k = 0; k < computed; k++) {
      const gap = target[k] - now[k];
      now[k] += share * gap;
      most = Math.max(most, Math.abs(gap));
    }
    if (most > 0.005) return true;
    now.set(target.subarray(0, computed));
    return false;
  }

  get view() {
    const { now, drawn, bending, limits } = this;
    const exact = this.known.get(this.key(this.seed, ACCURATE));
    const right = (result, i) => this.garments.right(result, i);
    return { now, drawn, bending, exact, limits, chosen: this.lab.state.garment, right };
  }

  // ---- the plot of right answers

  column(steps) {
    const width = this.plot.box.clientWidth;
    return 50 + ((width - 76) * STEPS.indexOf(steps)) / (STEPS.length - 1);
  }

  drag(x) {
    const off = (steps) => Math.abs(this.column(steps) - x);
    const nearest = STEPS.reduce((best, steps) => (off(steps) < off(best) ? steps : best));
    if (nearest !== this.lab.state.steps) this.lab.set("steps", nearest);
  }

  /** To a neighbouring step size; says whether there was something to do. */
  go(by) {
    const next = STEPS[STEPS.indexOf(this.lab.state.steps) + by];
    if (next) this.lab.set("steps", next);
    return Boolean(by);
  }

  get scores() {
    const { kind, rule } = this.lab.state;
    const dots = (setting) =>
      this.five(setting).map((result) => [this.garments.correct(result), result.seed === this.seed]);
    const columns = STEPS.map((steps) => [steps, this.column(steps)]);
    const home = dots(own(kind)).map(([right]) => right);
    return { columns, rule, at: (steps) => dots([rule, steps]), home, count: GARMENTS };
  }

  // ---- in words

  tell() {
    const { lab } = this;
    const { kind, rule, steps, garment } = lab.state;
    const shown = this.known.get(this.key());
    const home = this.known.get(this.key(this.seed, own(kind)));
    if (shown?.done !== this.count || home?.done !== this.count) return;
    const changed = (one, other) => one.answers.reduce((sum, answer, i) => sum + (answer !== other.answers[i]), 0);
    const asTrained = rule === own(kind)[0] && steps === own(kind)[1];
    const trained = `Trained with ${about(kind)[1]}`;
    const own60 = this.garments.correct(home);
    const one = asTrained
      ? `${trained}, and solved so: network ${this.seed + 1} has ${own60} of 60 right.`
      : `${trained}, solved by ${solver(rule, steps)}: ${changed(shown, home)} of the 60 answers of network ` +
        `${this.seed + 1} change, and ${this.garments.correct(shown)} are right instead of ${own60}.`;
    const guess = this.guess ? `You said ${this.guess}. ` : "";
    lab.say(`${guess}${one} ${this.spread(changed, asTrained)} Marked: ${this.garments.taken(shown, garment)}.`);
  }

  /** What holds for all five networks, or that it is not yet known. */
  spread(changed, asTrained) {
    const [all, homes] = [this.five(), this.five(own(this.lab.state.kind))];
    if (all.length < SEEDS.length || homes.length < SEEDS.length) return "The other four are being solved.";
    const right = (results) => range(results.map((result) => this.garments.correct(result)));
    if (asTrained) return `The five networks have ${right(all)} right.`;
    const moved = range(all.map((result, i) => changed(result, homes[i])));
    return `In the five networks ${moved} change, and ${right(all)} are right instead of ${right(homes)}.`;
  }
}

export const mount = (lab) => new Swap(lab);
