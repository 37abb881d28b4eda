// The sixty garments that swap.js shows: six of each of ten classes, a class in each column, one of them marked.

import { make } from "./tools.js";

const OF_EACH = 6;

export class Garments {
  /** @param choose called with the number of a garment that somebody points at. */
  constructor(choose) {
    this.choose = choose;
    this.element = make("div", {
      class: "swap-garments",
      role: "listbox",
      "aria-label": "Sixty garments and the answers",
    });
    this.thumbnails = [];
    this.element.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -OF_EACH, ArrowRight: OF_EACH, ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const next = (this.chosen + by + this.count) % this.count;
      choose(next);
      this.thumbnails[next].focus();
    });
  }

  /** Takes the garments: images, row by row, in bytes; labels; and the names of the classes. */
  unpack({ images, labels, classes }) {
    [this.labels, this.classes, this.count] = [labels, classes, labels.length];
    for (let i = 0; i < this.count; i++) {
      const canvas = make("canvas", { width: 28, height: 28, "aria-hidden": "true" });
      const picture = new ImageData(28, 28);
      for (let k = 0; k < 784; k++) picture.data.set([...Array(3).fill(images[i * 784 + k]), 255], 4 * k);
      canvas.getContext("2d").putImageData(picture, 0, 0);
      const badge = make("span", { class: "swap-badge", "aria-hidden": "true" });
      const attributes = { type: "button", role: "option", tabindex: -1, onclick: () => this.choose(i) };
      this.thumbnails.push(make("button", attributes, canvas, badge));
    }
    for (let row = 0; row < OF_EACH; row++)
      this.element.append(...this.thumbnails.filter((_, i) => i % OF_EACH === row));
  }

  right(result, i) {
    return result.answers[i] === this.labels[i];
  }

  /** How many answers of a result are right. */
  correct(result) {
    return result.answers.reduce((sum, _, i) => sum + this.right(result, i), 0);
  }

  /** A garment, and what a result takes it for. */
  taken(result, i) {
    return `${this.classes[this.labels[i]]}, taken for ${this.classes[result.answers[i]]}`;
  }

  /** Ticks and crosses for a result, frames where it differs from `home`, and in words what each is taken for. */
  mark(result, home, chosen) {
    this.chosen = chosen;
    this.thumbnails.forEach((thumbnail, i) => {
      const known = result && i < result.done;
      const right = known && this.right(result, i);
      const moved = known && home && i < home.done && home.answers[i] !== result.answers[i];
      const answer = right ? "right" : known ? `taken for ${this.classes[result.answers[i]]}` : "not answered yet";
      const words = `${this.classes[this.labels[i]]}: ${answer}${moved ? ", otherwise than as trained" : ""}`;
      if (thumbnail.title !== words) {
        thumbnail.className = `${right ? "is-right" : known ? "is-wrong" : ""} ${moved ? "is-moved" : ""}`;
        thumbnail.title = words;
        thumbnail.setAttribute("aria-label", words);
      }
      if (thumbnail.getAttribute("aria-selected") === String(i === chosen)) return;
      thumbnail.setAttribute("aria-selected", i === chosen);
      thumbnail.tabIndex = i === chosen ? 0 : -1;
    });
  }
}
