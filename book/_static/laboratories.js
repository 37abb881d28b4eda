// What a laboratory with computed frames gets from the page: a play button, a reset, and an address for each position,
// such as #lab=stability&h=0.9&method=RK4. Its own script, which notebooks have too, shows the frames.
"use strict";

const PACE = 700; // milliseconds for a frame

function equip(lab) {
  const name = lab.dataset.lab;
  const range = lab.querySelector("input[type=range]");
  const radios = [...lab.querySelectorAll("input[type=radio]")];
  const text = lab.querySelector(".ode-lab-text");
  const steps = range.dataset.steps.split("|");
  const choices = radios.map((radio) => radio.parentElement.textContent.trim());
  const chosen = () => radios.findIndex((radio) => radio.checked);
  const last = steps.length - 1;
  const start = [+range.value, chosen()];
  // Controls are named after the laboratory: "stability-h" is the slider of "h".
  const [sliderName, choiceName] = [range.id, radios[0]?.name].map((id) => id?.slice(name.length + 1));
  let [playing, later] = [null, null];

  function go(step, choice = chosen()) {
    range.value = step;
    if (radios.length) radios[choice].checked = true;
    range.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** To the position that the address asks for, if it is one of this laboratory; what it does not know stays as at the start. */
  function read() {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (asked.get("lab") !== name) return;
    stop();
    const place = (all, key, otherwise) => (all.includes(asked.get(key)) ? all.indexOf(asked.get(key)) : otherwise);
    go(place(steps, sliderName, start[0]), place(choices, choiceName, start[1]));
    clearTimeout(later);
    lab.scrollIntoView({ block: "start" });
  }

  /** Let the address hold what is not as at the start, but not each frame: browsers refuse one that changes all the time. */
  function write() {
    clearTimeout(later);
    later = setTimeout(() => {
      const held = new URLSearchParams({ lab: name });
      if (+range.value !== start[0]) held.set(sliderName, steps[range.value]);
      if (chosen() !== start[1]) held.set(choiceName, choices[chosen()]);
      history.replaceState(history.state, "", `#${held}`);
    }, 300);
  }

  function stop() {
    if (!playing) return;
    clearInterval(playing);
    playing = null;
    play.textContent = "Play";
    text.setAttribute("aria-live", "polite"); // and the words of the last frame, written once more, are read aloud
    go(range.value);
  }

  function begin() {
    play.textContent = "Pause";
    text.setAttribute("aria-live", "off"); // words that change with every frame would be read aloud without an end
    if (+range.value === last) go(0);
    playing = setInterval(() => {
      go(+range.value + 1);
      if (+range.value === last) stop();
    }, PACE);
  }

  function reset() {
    stop();
    go(...start);
    clearTimeout(later);
    history.replaceState(history.state, "", location.pathname + location.search);
  }

  const button = (words, act) => {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: words });
    made.addEventListener("click", act);
    lab.querySelector(".ode-lab-controls").append(made);
    return made;
  };
  const play = button("Play", () => (playing ? stop() : begin()));
  button("Reset", reset);
  for (const event of ["pointerdown", "keydown"]) range.addEventListener(event, stop);
  lab.addEventListener("input", write);
  addEventListener("hashchange", read);
  read();
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".ode-lab").forEach(equip));
