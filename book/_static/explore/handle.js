// Points of a picture that hands and keys move.
import { make } from "./tools.js";

/**
 * A thing on the stage that is dragged, or moved by the arrow keys (Shift: farther).
 *
 * @param lab what it belongs to, which asks it again where it stands whenever the picture is drawn.
 * @param label what it is and where, for who does not see it: a function.
 * @param at where it stands: [x, y] in CSS pixels of the box, or null where it is not there.
 * @param move called with the wanted place.
 * @param looks its look: a class of explore.css, and a colour's name.
 */
export function handle(lab, { box, label, at, move, looks = "dot", colour = "ink", key = null }) {
  const mark = make("span", { class: `explore-mark ${looks}` });
  const button = make(
    "button",
    { type: "button", class: "explore-handle", "aria-roledescription": "movable point" },
    mark,
  );
  let grabbed = null;
  button.addEventListener("pointerdown", (event) => {
    const [x, y] = at();
    grabbed = { id: event.pointerId, x: x - event.clientX, y: y - event.clientY };
    button.setPointerCapture(event.pointerId);
  });
  button.addEventListener("pointermove", (event) => {
    if (grabbed?.id === event.pointerId) move(event.clientX + grabbed.x, event.clientY + grabbed.y);
  });
  button.addEventListener("lostpointercapture", () => (grabbed = null)); // let go, or taken away by the browser
  button.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (key?.(event)) return event.preventDefault();
    if (!way) return;
    event.preventDefault();
    const [x, y] = at();
    const far = event.shiftKey ? 32 : 8;
    move(x + far * way[0], y + far * way[1]);
  });
  box.append(button);
  lab.handles ??= [];
  lab.handles.push(() => {
    const place = at();
    button.hidden = !place;
    if (!place) return;
    button.style.transform = `translate(${place[0]}px, ${place[1]}px) translate(-50%, -50%)`;
    mark.style.color = lab.colour(colour);
    const words = label();
    if (button.getAttribute("aria-label") !== words) button.setAttribute("aria-label", words);
  });
  return button;
}
