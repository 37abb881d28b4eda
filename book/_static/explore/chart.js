// A small chart on a canvas: a title, two axes with marks, and the two functions that turn values into places.
import { line } from "./tools.js";

/**
 * @param place left, right, top and low edge of the chart, in CSS pixels.
 * @param x, y from, to, whether `log`, and marks: pairs (value, text). `label` stands below the marks of x.
 * @returns across(x) and up(y), which keep to the chart.
 */
export function chart(c, lab, { left, right, top, low }, title, x, y) {
  const scale = ({ from, to, log }, begin, end) => {
    const f = log ? Math.log : (value) => value;
    return (value) => begin + ((end - begin) * (f(Math.min(Math.max(value, from), to)) - f(from))) / (f(to) - f(from));
  };
  const [across, up] = [scale(x, left, right), scale(y, low, top)];
  const rule = (...ends) => {
    c.globalAlpha = 0.15;
    line(c, ...ends);
    c.globalAlpha = 1;
  };
  c.font = `13px ${lab.font}`;
  c.fillStyle = c.strokeStyle = lab.colour("ink");
  c.lineWidth = 1;
  c.textAlign = "left";
  c.fillText(title, 2, top - 9);
  c.textAlign = "right";
  for (const [value, text] of y.marks) {
    rule(left, up(value), right, up(value));
    c.fillText(text, left - 6, up(value) + 4);
  }
  c.textAlign = "center";
  for (const [value, text] of x.marks) {
    rule(across(value), top, across(value), low);
    c.fillText(text, Math.min(across(value), right - 4), low + 17);
  }
  if (x.label) c.fillText(x.label, (left + right) / 2, low + 33);
  return { across, up };
}

/** A line through points, in a colour of the page. */
export function curve(c, lab, points, colour) {
  c.strokeStyle = c.fillStyle = lab.colour(colour);
  c.lineWidth = 2.5;
  c.lineJoin = "round";
  c.beginPath();
  for (const point of points) c.lineTo(...point);
  c.stroke();
}

/** Words in the middle of a chart that has nothing to show yet. */
export function empty(c, lab, { left, right, top, low }, words) {
  c.fillStyle = lab.colour("ink");
  c.textAlign = "center";
  c.fillText(words, (left + right) / 2, (top + low) / 2);
}
