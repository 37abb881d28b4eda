// A sphere as it is seen: turned about its axis, then tilted, without perspective.

export class Sphere {
  constructor() {
    this.front();
    this.fit(2, 2);
  }

  /** Turn the point (1, 1, 1) to the reader. */
  front() {
    [this.turn, this.tilt] = [-Math.PI / 4, Math.atan(Math.SQRT1_2)];
  }

  /** Fill a picture of that size, as the sphere is turned now. */
  fit(width, height) {
    this.radius = Math.max(1, Math.min(width, height) / 2 - 14);
    this.middle = [width / 2, height / 2];
    [this.sin, this.cos] = [Math.sin(this.turn), Math.cos(this.turn)];
    [this.tilted, this.level] = [Math.sin(this.tilt), Math.cos(this.tilt)];
  }

  /** Where the point x[at], x[at + 1], x[at + 2] is seen, and how near it is to the reader: less than 0 on the far side. */
  spot(x, at) {
    const deep = this.cos * x[at + 1] - this.sin * x[at];
    return [this.right(x, at), this.down(x, at), this.tilted * x[at + 2] + this.level * deep];
  }

  right(x, at) {
    return this.middle[0] + this.radius * (this.cos * x[at] + this.sin * x[at + 1]);
  }

  down(x, at) {
    const deep = this.cos * x[at + 1] - this.sin * x[at];
    return this.middle[1] - this.radius * (this.level * x[at + 2] - this.tilted * deep);
  }

  /** The point of the near side that is seen at a place of the picture, or at the rim. */
  point(px, py) {
    let [right, up] = [(px - this.middle[0]) / this.radius, (this.middle[1] - py) / this.radius];
    const out = Math.max(1, Math.hypot(right, up) / 0.999);
    [right, up] = [right / out, up / out];
    const near = Math.sqrt(1 - right ** 2 - up ** 2);
    const { sin, cos, tilted, level } = this;
    const deep = level * near - tilted * up;
    return [cos * right - sin * deep, sin * right + cos * deep, tilted * near + level * up];
  }

  /** The rim and three great circles, as far as they are on the near side. */
  paint(c, colour) {
    c.strokeStyle = colour;
    c.lineWidth = 1;
    c.globalAlpha = 0.35;
    circle(c, this.middle, this.radius);
    c.globalAlpha = 0.15;
    const point = new Float64Array(3);
    for (let axis = 0; axis < 3; axis++) {
      c.beginPath();
      for (let k = 0; k <= 48; k++) {
        point.fill(0);
        point[axis] = Math.cos((Math.PI * k) / 24);
        point[(axis + 1) % 3] = Math.sin((Math.PI * k) / 24);
        const [x, y, near] = this.spot(point, 0);
        if (near < 0) c.moveTo(x, y);
        else c.lineTo(x, y);
      }
      c.stroke();
    }
    c.globalAlpha = 1;
  }
}

/** A circle around a place. */
export function circle(c, [x, y], r) {
  c.beginPath();
  c.arc(x, y, r, 0, 2 * Math.PI);
  c.stroke();
}

/** A diamond around a place. */
export function diamond(c, [x, y], r) {
  c.beginPath();
  for (const [a, b] of [
    [0, -r],
    [r, 0],
    [0, r],
    [-r, 0],
  ])
    c.lineTo(x + a, y + b);
  c.closePath();
  c.stroke();
}
