// The losses of a training, with fewer points the longer it goes on: each point is the mean over steps that
// would lie side by side on a logarithmic axis, PER_DECADE from a step to its tenfold.
const PER_DECADE = 40;

export class LossCurve {
  #points = []; // [number of the place, how many losses, their sum, sum of their steps]

  // Another curve goes on from what `points` gave.
  constructor(points = []) {
    this.#points = points.map((point) => [...point]);
  }

  get points() {
    return this.#points.map((point) => [...point]);
  }

  add(step, loss) {
    const place = Math.floor(PER_DECADE * Math.log10(step));
    if (this.#points.at(-1)?.[0] !== place) this.#points.push([place, 0, 0, 0]);
    const point = this.#points.at(-1);
    point[1] += 1;
    point[2] += loss;
    point[3] += step;
  }

  // [steps, losses]
  get line() {
    return [3, 2].map((column) => this.#points.map((point) => point[column] / point[1]));
  }
}
