// A small character model writes, and is watched: what it guesses next, what it keeps of each letter, and which of its
// guesses move when a letter is edited or its equation is solved otherwise.
//
// It is the model of chapter 13, with its weights in ten bits. writer.worker.js reads the text; letters are drawn here.

import { format, make, random } from "./tools.js";
import { RULES, size, solver } from "./solvers.js";
import { drawCache, drawNext } from "./writer-pictures.js";

const STEPS = [1, 2, 4]; // in each of the four layers
const HEATS = [0.1, 0.3, 0.5, 0.7, 1, 1.5, 3];
const PLACES = 128; // the model has a vector for each of so many places
const KEPT = 32; // letters that stay when a full text is begun anew
const LETTERS_A_SECOND = 12;
const GUESSES = ["Only at letters before it", "Only from it on", "At all letters"];

const per = (share) => `${format(100 * share)} %`;
const whole = (number) => number.toLocaleString("en");

class Page {
  constructor(lab) {
    this.lab = lab;
    const { letters, text } = lab.settings;
    this.letters = letters;
    this.job = 0;
    this.guesses = []; // for each place: the probabilities of the letter after it
    this.kept = { evaluations: 4, dim: 96 };
    lab.begin({ rule: "euler", steps: 1, heat: 0.7, text });
    lab.state.text = this.known(lab.state.text);
    this.build();
    lab.changed((names) => this.follow(names));
    lab.onreset = () => {
      this.stop();
      this.question();
    };
    this.worker = new Worker(new URL("writer.worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = () => this.hear({ error: "the model could not be started: reload the page" });
    lab.say("The model is on its way.");
    this.chance = random(13);
    this.before = null; // text and guesses before the last change
    this.question();
    this.send();
    this.shade();
  }

  build() {
    const { lab } = this;
    const id = "explore-writer-text";
    this.shades = make("div", { class: "writer-shades", "aria-hidden": "true" });
    const plain = { spellcheck: "false", autocapitalize: "off", autocomplete: "off" };
    this.text = make("textarea", { id, maxlength: PLACES, rows: 1, ...plain });
    this.text.addEventListener("input", () => this.edit(this.text.value));
    const label = make("label", { for: id }, "The text; change any letter:");
    const page = make("div", { class: "writer-page" }, this.shades, this.text);
    lab.stage.append(make("div", { class: "writer-text" }, label, page), lab.panel);
    this.button = lab.button("Write", () => (this.writing ? this.stop() : this.write()), { class: "explore-main" });
    lab.slider("heat", "temperature", { values: HEATS, text: (value) => String(value) });
    lab.choice("rule", "solved by", RULES);
    lab.slider("steps", "step h", { values: STEPS, text: size });
    const shape = () => 170;
    lab.canvas("What comes next: the likeliest letters", shape, (c, width, height) =>
      drawNext(c, width, height, lab, this.next),
    );
    lab.canvas("The cache of keys and values", shape, (c, width, height) => {
      const { evaluations } = this.kept;
      drawCache(c, width, height, lab, {
        places: PLACES,
        read: this.guesses.length,
        evaluations,
        rule: lab.state.rule,
      });
    });
  }

  question() {
    const { lab } = this;
    const { place, letter, text } = lab.settings;
    this.guess = undefined;
    if (Object.keys(lab.defaults).some((name) => String(lab.state[name]) !== String(lab.defaults[name]))) return;
    const [word] = /\S+/.exec(text.slice(place));
    const question =
      `The ${text[place]} of “${word}” becomes ${letter}. At which letters of the text will the model's guess ` +
      "about the next letter move?";
    lab.ask(question, GUESSES, (index) => {
      this.stop();
      this.guess = index;
      this.edit(text.slice(0, place) + letter + text.slice(place + 1));
    });
  }

  // ---- the text, and what is read of it

  known(text) {
    return [...text]
      .filter((letter) => this.letters.includes(letter))
      .slice(0, PLACES)
      .join("");
  }

  /** Keep what was guessed before a change, to be compared with what is guessed after it. */
  remember(change) {
    const { text } = this.lab.state;
    if (this.guesses.length === text.length) this.before = { change, text, guesses: this.guesses };
    else if (this.before?.change !== change) this.before = null; // read in part only: there is nothing to compare with
    this.guesses = this.guesses.slice();
  }

  /** Somebody has changed the text. */
  edit(value) {
    const { lab, letters } = this;
    const text = this.known(value);
    const strange = [...value].find((letter) => !letters.includes(letter));
    if (strange) {
      const caret = this.text.selectionStart - (value.length - text.length);
      this.text.value = text;
      this.text.setSelectionRange(caret, caret);
      lab.say(`The model has never seen “${strange}”: it knows ${letters.length} letters and signs.`);
    }
    if (text === lab.state.text) return;
    this.remember("edited");
    lab.set("text", text);
  }

  follow(names) {
    const { lab } = this;
    if (names.includes("rule") || names.includes("steps")) {
      this.remember("solved otherwise");
      this.guesses = [];
    }
    if (names.some((name) => name !== "heat")) this.send();
    if (names.includes("text")) this.shade();
  }

  send() {
    const { text, rule, steps } = this.lab.state;
    this.worker.postMessage({
      job: ++this.job,
      text: [...text].map((letter) => this.letters.indexOf(letter)),
      rule,
      steps,
    });
  }

  hear({ job, kept, place, shares, evaluations, dim, finished, error }) {
    if (error) return this.lab.say(`Something is missing here: ${error}.`);
    if (job !== this.job) return;
    if (kept !== undefined) this.guesses.length = Math.min(this.guesses.length, kept);
    if (shares) {
      this.guesses[place] = shares;
      this.kept = { evaluations, dim };
    }
    if (finished) {
      this.shade();
      if (!this.writing) this.tell();
    }
    this.lab.redraw();
  }

  /**
   * For each place the share of probability that the last change has moved, or null where there was no such place.
   * Behind an inserted or a deleted letter the places are compared that have the same letter.
   */
  moved() {
    const { before, guesses } = this;
    const { text } = this.lab.state;
    if (!before) return [...text].map(() => null);
    const shorter = Math.min(text.length, before.text.length);
    let first = 0;
    while (first < shorter && text[first] === before.text[first]) first++;
    let last = 0;
    while (last < shorter - first && text.at(-1 - last) === before.text.at(-1 - last)) last++;
    return [...text].map((_, i) => {
      const same = i < first || text.length === before.text.length;
      const shifted = i >= text.length - last ? i - text.length + before.text.length : -1;
      const [one, other] = [before.guesses[same ? i : shifted], guesses[i]];
      return one && other ? one.reduce((sum, share, k) => sum + Math.abs(share - other[k]), 0) / 2 : null;
    });
  }

  /** Behind each letter of the text: how much its guess has moved. */
  shade() {
    const { text } = this.lab.state;
    if (this.text.value !== text) {
      const { selectionStart, selectionEnd } = this.text;
      this.text.value = text;
      if (document.activeElement === this.text) this.text.setSelectionRange(selectionStart, selectionEnd);
    }
    const moved = this.moved();
    const spans = [...text].map((letter, i) => {
      const span = make("span", {}, letter);
      if (moved[i] > 0) span.style.setProperty("--moved", Math.min(1, 0.15 + moved[i]).toFixed(2));
      return span;
    });
    this.shades.replaceChildren(...spans, "\u200b"); // so that a last empty line has its height
  }

  // ---- writing

  write() {
    const { lab } = this;
    this.before = null;
    this.button.textContent = "Stop";
    if (lab.state.text.length >= PLACES) lab.set("text", lab.state.text.slice(0, KEPT));
    if (!lab.state.text) lab.set("text", "\n");
    this.begun = lab.state.text.length;
    lab.say("It writes.");
    this.writing = setInterval(() => {
      const { text } = lab.state;
      if (text.length >= PLACES) this.stop();
      else if (lab.seen && !document.hidden && this.guesses.length === text.length)
        lab.set("text", text + this.draw(this.guesses[text.length - 1]));
    }, 1000 / LETTERS_A_SECOND);
  }

  stop() {
    if (!this.writing) return;
    clearInterval(this.writing);
    this.writing = null;
    this.button.textContent = "Write";
    this.tell();
  }

  /** The probabilities at the chosen temperature. */
  heated(shares) {
    const powers = shares.map((share) => share ** (1 / this.lab.state.heat));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  /** What is known of the next letter, for its picture. */
  get next() {
    const { guesses, lab, letters } = this;
    const { heat, rule, text } = lab.state;
    const known = text && guesses.length === text.length;
    return { shares: known ? this.heated(guesses.at(-1)) : null, letters, heat, rule };
  }

  draw(shares) {
    let left = this.chance();
    const letter = this.heated(shares).findIndex((share) => (left -= share) < 0);
    return this.letters[letter < 0 ? 0 : letter];
  }

  // ---- in words

  tell() {
    const { lab, guesses, kept } = this;
    const { text, rule, steps } = lab.state;
    if (!text) return lab.say("There is no letter yet: type some, or let it write.");
    if (guesses.length !== text.length) return;
    const cost = [...text].slice(1).map((letter, i) => -Math.log(guesses[i][this.letters.indexOf(letter)]));
    const nats = cost.reduce((a, b) => a + b, 0) / Math.max(cost.length, 1);
    const full = text.length >= PLACES ? " All its places are full; Write begins anew." : "";
    lab.say(
      `${this.news()}By ${solver(rule, steps)} a letter of this text costs the model ${format(nats)} nats, and its ` +
        `cache holds ${whole(2 * kept.evaluations * kept.dim * text.length)} numbers.${full}`,
    );
    this.guess = undefined;
  }

  /** What the last change has done. */
  news() {
    const { before, guess, begun } = this;
    const { text } = this.lab.state;
    const moved = this.moved();
    const known = moved.filter((share) => share !== null);
    if (before?.change === "solved otherwise" && known.length)
      return `On average ${per(known.reduce((a, b) => a + b) / known.length)} of the probability has moved. `;
    if (before?.change !== "edited" || before.text === text)
      return begun < text.length ? `It has written: “${text.slice(begun)}”. ` : "";
    const differs = [...text].findIndex((letter, i) => letter !== before.text[i]);
    const first = differs < 0 ? text.length : differs;
    const later = moved.slice(first).filter((share) => share !== null);
    const said =
      guess === 1 ? "You guessed it. " : guess in GUESSES ? `You said: ${GUESSES[guess].toLowerCase()}. ` : "";
    const count = later.filter((share) => share > 0).length;
    const after = later.length
      ? `From it on ${count} of ${later.length} have, by ${per(Math.max(...later))} at most. `
      : "";
    return `${said}At the ${first} letters before the change no guess has moved at all. ${after}`;
  }
}

export const mount = (lab) => new Page(lab);
