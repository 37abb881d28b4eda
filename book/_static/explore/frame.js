// What the explorables share: they start when they come into view, keep their state in the address, say in words what
// they show, take fingers, mice and keys, and follow the page's colours. Each is a module beside this one that exports
// mount(lab); what it may use of `lab` is the class below. Without all this a page keeps the still picture.

import { handle } from "./handle.js";
import { format, make } from "./tools.js";

const HERE = import.meta.url;
const PATIENCE = 1500; // milliseconds
export const LOOKS = { parallel: "--c1", usual: "--c2", rk4: "--c3", attention: "--c4", mlp: "--c5" }; // as in every figure

/** The state that the address asks for, such as #lab=flock&beta=9, if it is of this explorable. */
function asked(name) {
  const given = new URLSearchParams(location.hash.slice(1));
  return given.get("lab") === name ? Object.fromEntries(given) : {};
}

export class Lab {
  constructor(root) {
    this.root = root;
    this.name = root.dataset.explore;
    this.settings = JSON.parse(root.querySelector("script.explore-settings")?.textContent || "{}");
    this.state = {}; // by name: numbers, names, or arrays of numbers
    this.defaults = {};
    this.controls = {}; // by name: a function that shows the state
    this.listeners = [];
    this.seen = false;
    this.stage = make("div", { class: "explore-stage" });
    this.guesses = make("div", { class: "explore-guess" });
    this.panel = make("div", { class: "explore-controls" });
    this.words = make("p", { class: "explore-text", "aria-live": "polite" });
    this.foot = make(
      "p",
      { class: "explore-foot" },
      make("button", { type: "button", onclick: () => this.reset() }, "Reset"),
      make("a", { href: new URL("core.js", HERE) }, "The mathematics, as the page computes it"),
    );
    this.live = make("div", { class: "explore-live" }, this.guesses, this.stage, this.panel, this.words, this.foot);
    this.painted = [];
    this.frame = null; // what moves: frame(seconds since the last)
    new MutationObserver(() => this.recolour()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width === this.width) return; // the height changes with the words
      this.width = contentRect.width;
      this.resize();
    }).observe(this.stage);
    new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting; // several where the page was scrolled to and fro
      this.wake();
    }).observe(this.stage);
    addEventListener(
      "hashchange",
      () => asked(this.name).lab && this.take({ ...this.defaults, ...this.parse(asked(this.name)) }),
    );
  }

  // ---- state, and the address that holds it

  /** Declare the state with its values at the start; the address may ask for others. */
  begin(defaults) {
    this.defaults = structuredClone(defaults);
    this.linked = Boolean(asked(this.name).lab); // somebody came for a state, and is not asked for a guess
    this.state = { ...structuredClone(defaults), ...this.parse(asked(this.name)) };
  }

  parse(given) {
    const read = {};
    for (const [name, value] of Object.entries(this.defaults)) {
      if (!(name in given)) continue;
      const numbers = given[name].split(",").map(Number);
      const wanted = Array.isArray(value) ? value.length : 1;
      if (typeof value === "string") read[name] = given[name];
      else if (numbers.length === wanted && numbers.every(Number.isFinite))
        read[name] = Array.isArray(value) ? numbers : numbers[0];
    }
    return read;
  }

  /** Change a part of the state: controls follow, listeners hear of it, and the address holds it. */
  set(name, value) {
    this.take({ ...this.state, [name]: value }, [name]);
    this.hold();
  }

  /** Let the address hold what is not as at the start. */
  hold() {
    clearTimeout(this.later);
    this.later = setTimeout(() => {
      const held = new URLSearchParams({ lab: this.name });
      const text = (value) => (Array.isArray(value) ? value.map((x) => +x.toFixed(3)).join(",") : String(value));
      for (const [key, now] of Object.entries(this.state))
        if (text(now) !== text(this.defaults[key]) && !this.implied?.().includes(key)) held.set(key, text(now));
      history.replaceState(history.state, "", `#${held}`);
    }, 300); // browsers refuse an address that changes all the time
  }

  take(state, names = Object.keys(state)) {
    this.state = state;
    for (const name of names) this.controls[name]?.();
    for (const listener of this.listeners) listener(names);
    this.redraw();
  }

  reset() {
    clearTimeout(this.later);
    history.replaceState(history.state, "", location.pathname + location.search);
    this.linked = false;
    this.take(structuredClone(this.defaults));
    this.onreset?.();
  }

  /** Call listener(names) whenever a part of the state has changed. */
  changed(listener) {
    this.listeners.push(listener);
  }

  // ---- controls

  slider(name, label, { values, text = format, into = this.panel }) {
    const id = `explore-${this.name}-${name}`;
    const input = make("input", { type: "range", id, min: 0, max: values.length - 1, step: 1, autocomplete: "off" });
    const output = make("output", { for: id });
    this.controls[name] = () => {
      const off = values.map((value) => Math.abs(value - this.state[name]));
      input.value = off.indexOf(Math.min(...off));
      this.state[name] = values[input.value]; // an address may ask for any number, and gets the nearest
      output.textContent = text(this.state[name]);
      input.setAttribute("aria-valuetext", text(this.state[name]));
    };
    input.addEventListener("input", () => this.set(name, values[input.value]));
    into.append(make("div", { class: "explore-slider" }, make("label", { for: id }, label), input, output));
    this.controls[name]();
  }

  /** A box that is ticked where the state is 1. */
  toggle(name, label, { into = this.panel } = {}) {
    const input = make("input", {
      type: "checkbox",
      autocomplete: "off",
      onchange: () => this.set(name, +input.checked),
    });
    this.controls[name] = () => (input.checked = Boolean(this.state[name]));
    into.append(make("label", { class: "explore-toggle" }, input, ` ${label}`));
    this.controls[name]();
  }

  /** One of a few names; options are pairs (value, label). */
  choice(name, label, options, { into = this.panel } = {}) {
    const select = make("select", { autocomplete: "off", onchange: () => this.set(name, select.value) });
    for (const [value, words] of options) select.append(make("option", { value }, words));
    this.controls[name] = () => {
      select.value = this.state[name];
      if (select.selectedIndex < 0) this.state[name] = select.value = options[0][0];
    };
    into.append(make("label", { class: "explore-choice" }, `${label} `, select));
    this.controls[name]();
    return select;
  }

  button(label, act, { into = this.panel, ...attributes } = {}) {
    const button = make("button", { type: "button", onclick: act, ...attributes }, label);
    into.append(button);
    return button;
  }

  /** Ask before anything is shown; answer(index) hears the guess, or null from who does not want to guess. */
  ask(question, options, answer) {
    const heading = make("p", { id: `explore-${this.name}-question` }, make("strong", {}, "Guess first. "), question);
    const done = (index) => {
      this.guesses.replaceChildren();
      answer(index);
      (
        this.stage.querySelector("button:not([tabindex='-1']), canvas[tabindex]") ??
        this.panel.querySelector("input, button, select")
      )?.focus({ preventScroll: true });
    };
    const choices = options.map((option, i) => make("button", { type: "button", onclick: () => done(i) }, option));
    const skip = make("button", { type: "button", class: "explore-quiet", onclick: () => done(null) }, "Just show me");
    this.guesses.replaceChildren(
      make("div", { role: "group", "aria-labelledby": heading.id }, heading, ...choices, skip),
    );
  }

  /**
   * What the picture shows, in words: seen below it, and read aloud. A patient sayer, whose picture moves, has them read
   * aloud only when it has come to rest, and they change no faster than somebody can read.
   */
  say(text, patient = false) {
    clearTimeout(this.waiting);
    if (patient) this.waiting = setTimeout(() => this.say(text), PATIENCE);
    if (patient ? performance.now() - (this.said ?? -Infinity) < PATIENCE : text === this.heard) return;
    this.heard = patient ? null : text;
    this.said = performance.now();
    this.words.setAttribute("aria-live", patient ? "off" : "polite");
    this.words.textContent = text;
    if (patient) this.words.style.minHeight = `${this.words.offsetHeight}px`; // what stands below does not jump
  }

  // ---- pictures

  /** Words, and what one turns, stand where the eye is: below the first picture, and above those that fill. */
  arrange() {
    const { stage, panel, words } = this;
    if (panel.parentNode === stage) return panel.before(words);
    for (const part of [words, panel]) part.classList.add("explore-below");
    stage.querySelector(".explore-canvas ~ .explore-canvas").before(words, panel);
  }

  /** A canvas that paint(context, width, height) fills, in CSS pixels; `shape` gives its height for a width. */
  canvas(label, shape, paint, attributes = {}) {
    const canvas = make("canvas", { role: "img", "aria-label": label, ...attributes });
    const box = make("div", { class: "explore-canvas" }, canvas);
    this.painted.push({ canvas, box, shape, paint, context: canvas.getContext("2d"), size: [0, 0] });
    this.stage.append(box);
    return { canvas, box };
  }

  resize() {
    this.words.style.minHeight = "";
    for (const picture of this.painted) {
      const { canvas, box, shape, context } = picture;
      const width = box.clientWidth;
      const height = width && Math.round(shape(width));
      picture.size = [width, height]; // kept, since to ask for it makes the browser lay out the page
      if (!width) continue;
      const density = this.coarse ? 1 : Math.min(devicePixelRatio || 1, 2);
      canvas.style.height = `${height}px`;
      [canvas.width, canvas.height] = [Math.round(width * density), Math.round(height * density)];
      context.setTransform(density, 0, 0, density, 0, 0);
    }
    this.paint();
  }

  recolour() {
    this.known = {};
    this.redraw();
  }

  /** A colour of the page: "parallel", "usual", "rk4", "attention", "mlp", "ink", "paper". */
  colour(name) {
    this.known ??= {};
    if (!this.known[name]) {
      const style = getComputedStyle(this.root);
      const variable = name === "paper" ? "--pst-color-background" : LOOKS[name];
      this.known[name] = (variable && style.getPropertyValue(variable).trim()) || style.color;
      this.font ??= style.fontFamily;
    }
    return this.known[name];
  }

  get dark() {
    const theme = document.documentElement.dataset.theme;
    return theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  }

  /** A point of a picture that is dragged, or moved by the arrow keys: see handle.js. */
  handle(about) {
    return handle(this, about);
  }

  redraw() {
    this.wanted ??= requestAnimationFrame(() => this.paint());
  }

  /** Where pictures that move come late, they have fewer dots until they stand still. */
  pace() {
    const now = performance.now();
    const gap = now - (this.paintedAt ?? 0);
    this.paintedAt = now;
    this.gap = gap < 250 ? 0.9 * (this.gap ?? 16) + 0.1 * gap : 16; // milliseconds from picture to picture, smoothed
    if (!this.coarse && this.gap > 25 && devicePixelRatio > 1) this.refine(true);
    clearTimeout(this.resting);
    if (this.coarse) this.resting = setTimeout(() => this.refine(false), 500);
  }

  refine(coarse) {
    this.coarse = coarse;
    this.gap = 16;
    this.resize();
  }

  paint() {
    if (this.wanted) cancelAnimationFrame(this.wanted);
    this.wanted = null;
    this.pace();
    for (const { context, paint, size } of this.painted) {
      context.clearRect(0, 0, ...size);
      if (size[0]) paint(context, ...size);
    }
    for (const place of this.handles ?? []) place();
  }

  /** Whether somebody asks for less motion: nothing then starts to move by itself. */
  get calm() {
    return matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  /** Move: frame(seconds) is called before each picture while the explorable is in view, until it returns false. */
  run(frame) {
    this.frame = frame;
    this.wake();
  }

  wake() {
    if (!this.frame || !this.seen || this.awake) return;
    this.awake = true;
    let before = performance.now();
    const tick = (now) => {
      if (!this.frame || !this.seen) return void (this.awake = false);
      const seconds = Math.min(Math.max(now - before, 0) / 1000, 0.1);
      before = now;
      if (this.frame(seconds) === false) this.frame = null;
      this.paint();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }
}

async function start(root) {
  const { mount } = await import(`./${root.dataset.explore}.js`);
  const lab = new Lab(root);
  mount(lab);
  lab.arrange();
  root.querySelector(".explore-still").before(lab.live);
  root.classList.add("is-live");
  lab.resize();
  if (asked(lab.name).lab) root.scrollIntoView({ block: "start" });
}

/** Start each explorable of the page when it is about to come into view, or at once if the address asks for it. */
export function watch() {
  document.head.append(make("link", { rel: "stylesheet", href: new URL("explore.css", HERE) }));
  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries)
        if (isIntersecting) {
          near.unobserve(target);
          start(target);
        }
    },
    { rootMargin: "300px" },
  );
  for (const root of document.querySelectorAll("[data-explore]"))
    if (asked(root.dataset.explore).lab) start(root);
    else near.observe(root);
}
