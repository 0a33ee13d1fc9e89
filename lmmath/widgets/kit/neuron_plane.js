// The plane of two inputs: shaded by the output of a network, with points, and with the line of
// each neuron to take hold of.
import { contour } from "./contours.js";
import { linspace } from "../engines/mathematics.js";
import { network, neuronsOf, outputBias, paramsOf } from "../engines/mlp.js";
import { plot } from "./plot.js";
import { setTrait } from "./shared.js";

const [FROM, TO] = [-0.5, 1.5]; // what is shown, in both directions
const MIDDLE = [(FROM + TO) / 2, (FROM + TO) / 2];
const HEIGHT = 322; // of the plot, so that the plane is a square
const FURTHEST = 2 * (TO - FROM); // a line that goes so far from a place in the plane crosses all of it
const PIXELS = 40; // of the shading, in both directions
const STRONGEST = 140; // of 255: the points must stand out
export const MOST_NEURONS = 8;
const LONGEST_ARROW = 0.6; // what infinite weights would have
const HALF_WAY = 3; // the length of the weights at which it is half as long

// The point nearest to `place` on the line of a neuron, where w·x + b = 0.
export function onLine({ w, b }, place) {
  const square = w[0] ** 2 + w[1] ** 2;
  if (square === 0) return place; // there is no line
  const off = (w[0] * place[0] + w[1] * place[1] + b) / square;
  return [place[0] - off * w[0], place[1] - off * w[1]];
}

// The arrow of a neuron stands upright on its line, on the side where w·x + b > 0. The larger
// the weights, the longer it is, but so that even large ones fit into the plane.
export function arrowOf([w1, w2]) {
  const scale = LONGEST_ARROW / (Math.hypot(w1, w2) + HALF_WAY);
  return [scale * w1, scale * w2];
}

export function weightsOf([dx, dy]) {
  const far = Math.hypot(dx, dy);
  if (far === 0) return [0, 0];
  const length = Math.min(far, 0.9 * LONGEST_ARROW);
  const scale = (HALF_WAY * length) / (LONGEST_ARROW - length) / far;
  return [scale * dx, scale * dy];
}

// The index of the neuron that the reader has in hand.
export function inHand(model) {
  return Math.min(model.get("neuron"), neuronsOf(model.get("params")).length - 1);
}

export function neuronPlane(model) {
  const figure = plot({
    label: "",
    x: { label: "x₁", from: FROM, to: TO },
    y: { label: "x₂", from: FROM, to: TO },
    height: HEIGHT,
  });
  const shade = shading(figure.canvas());
  const dashed = Array.from({ length: MOST_NEURONS }, () => figure.line({ color: "ink", dash: "4 3" }));
  const boundary = figure.line({ color: "ink", dash: "none" });
  const zeros = figure.points({ label: "target 0", color: "vermilion", marker: "square" });
  const ones = figure.points({ label: "target 1", color: "blue", marker: "circle" });
  const wrong = figure.points({ label: "wrong side", color: "ink", marker: "circle" });
  const lineInHand = figure.line({ color: "green", dash: "4 3" });
  const arrow = figure.line({ color: "green", dash: "none" });
  const handles = neuronHandles(figure, model);

  return {
    element: figure.element,
    describe: figure.describe,
    draw({ params, activation, points, targets }, outputs) {
      const { xs, ys } = shade(network(params, activation));
      boundary.draw(xs, ys);
      const some = (keep) => [0, 1].map((axis) => points.filter((_, i) => keep(i)).map((x) => x[axis]));
      zeros.draw(...some((i) => targets[i] === 0));
      ones.draw(...some((i) => targets[i] === 1));
      wrong.draw(...some((i) => outputs[i] > 0.5 !== (targets[i] === 1)));

      const neurons = neuronsOf(params);
      const places = handles.draw(neurons);
      const held = inHand(model);
      const hidden = outputBias(params) === undefined ? [] : neurons; // a single one's line is the boundary
      dashed.forEach((line, j) => line.draw(...lineOf(hidden[j], places[j])));
      lineInHand.draw(...lineOf(hidden[held], places[held]));
      const [x, y] = places[held];
      const [dx, dy] = arrowOf(neurons[held].w);
      arrow.draw([x, x + dx], [y, y + dy]);
    },
  };
}

// The line of a neuron through a place on it; none, if there is no neuron or it has no weights.
function lineOf(neuron, [x, y]) {
  const length = neuron ? Math.hypot(...neuron.w) : 0;
  if (length === 0) return [[], []];
  const [dx, dy] = [-neuron.w[1], neuron.w[0]].map((value) => (FURTHEST * value) / length);
  return [[x - dx, x + dx], [y - dy, y + dy]];
}

// Shades a canvas by what a function of the place says, from 0 in one colour to 1 in another, and
// gives back the boundary at 1/2. A pixel's value is that of its middle; those just outside make
// the boundary reach the edge.
function shading(canvas) {
  const half = (TO - FROM) / PIXELS / 2;
  const middles = linspace(FROM - half, TO + half, PIXELS + 2);
  const down = [...middles].reverse(); // an image begins at the top
  const image = new ImageData(middles.length, middles.length);
  canvas.width = canvas.height = PIXELS;
  return (output) => {
    const rows = down.map((y) => middles.map((x) => output([x, y])));
    rows.flat().forEach((value, i) => {
      const color = value > 0.5 ? [0, 114, 178] : [213, 94, 0]; // blue and vermilion
      image.data.set([...color, Math.round(STRONGEST * Math.abs(2 * value - 1))], 4 * i);
    });
    canvas.getContext("2d").putImageData(image, -1, -1);
    return contour(middles, down, rows, 0.5);
  };
}

// Two handles for each neuron: one moves its line, the other, at the tip of its arrow, turns it.
// Only the neuron in hand has an arrow; to take hold of a line is to take the neuron in hand.
function neuronHandles(figure, model) {
  const places = Array.from({ length: MOST_NEURONS }, () => MIDDLE); // of the handles on the lines
  const change = (j, w, [x, y]) => {
    places[j] = [x, y];
    const neurons = neuronsOf(model.get("params"));
    neurons[j] = { ...neurons[j], w, b: -(w[0] * x + w[1] * y) };
    setTrait(model, "params", paramsOf(neurons, outputBias(model.get("params"))));
  };
  const handles = places.map((_, j) => {
    const neuron = () => neuronsOf(model.get("params"))[j];
    const words = () => sayWeights(neuron());
    const line = figure.handle({
      ...{ label: `Line of neuron ${j + 1}`, x: {}, y: {}, color: "green", words },
      move: ({ x, y }) => change(j, neuron().w, [x, y]),
    });
    const tip = figure.handle({
      ...{ label: `Arrow of neuron ${j + 1}`, x: { step: 0.01 }, y: { step: 0.01 }, color: "green", words },
      move: ({ x, y }) => change(j, weightsOf([x - places[j][0], y - places[j][1]]), places[j]),
    });
    line.element.addEventListener("focus", () => setTrait(model, "neuron", j));
    return { line, tip };
  });

  return {
    draw(neurons) {
      const held = inHand(model);
      handles.forEach(({ line, tip }, j) => {
        if (j < neurons.length) places[j] = placeOn(neurons[j], places[j]);
        const [x, y] = j < neurons.length ? places[j] : [NaN, NaN];
        const [dx, dy] = j === held ? arrowOf(neurons[j].w) : [NaN, NaN];
        line.draw(x, y);
        tip.draw(x + dx, y + dy);
        line.element.classList.toggle("lm-other", j !== held);
      });
      return places;
    },
  };
}

// Where on its line a neuron's handle stands: near where it stood, or if that is out of sight,
// near the middle.
function placeOn(neuron, before) {
  const near = onLine(neuron, before);
  const inSight = near.every((value) => value >= FROM && value <= TO);
  return inSight ? near : onLine(neuron, MIDDLE);
}

function sayWeights({ w, b }) {
  const [w1, w2, bias] = [...w, b].map((value) => value.toFixed(2));
  return `weights ${w1} and ${w2}, bias ${bias}`;
}
