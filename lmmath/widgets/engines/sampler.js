// From logits to one token: the formulas of lmmath.sampling, for one row of logits.
import { softmax } from "./mathematics.js";

// x_i / T, shifted so that the largest is 0. What exp would make zero anyway is -Infinity at once.
export function cool(logits, temperature) {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  return Float64Array.from(logits, (logit) => {
    const shifted = logit - largest;
    return shifted / 1000 < -temperature ? -Infinity : shifted / temperature;
  });
}

// P_i = exp(x_i / T) / sum_j exp(x_j / T)
export function temperatureSoftmax(logits, temperature) {
  return softmax(cool(logits, temperature));
}

// The ids in the order of probability, of equally probable ones the lower first.
export function ranking(logits) {
  return Array.from(logits.keys()).sort((i, j) => logits[j] - logits[i] || i - j);
}

// The ids of the k largest logits, in the order of `ranking`. A vocabulary may be large: numbers alone
// are sorted much faster than ids by their numbers.
export function largest(logits, k) {
  if (k >= logits.length) return ranking(logits);
  const least = Float64Array.from(logits).sort().at(-k);
  const ids = [];
  for (let id = 0; id < logits.length; id += 1) if (logits[id] >= least) ids.push(id);
  return ids.sort((i, j) => logits[j] - logits[i] || i - j).slice(0, k);
}

// Keep the k most probable tokens. What is left out gets -Infinity, here and below.
export function topKFilter(logits, k) {
  return k >= logits.length ? logits : keepOnly(logits, largest(logits, k));
}

// Keep the fewest tokens that together have probability p or more; all if p is 1.
export function topPFilter(logits, p) {
  if (p === 1) return logits;
  const inOrder = Float64Array.from(softmax(logits)).sort().reverse();
  let count = 0;
  for (let before = 0; before < p && count < inOrder.length; count += 1) before += inOrder[count];
  return topKFilter(logits, count);
}

// Keep the tokens with P_i >= p_min max_j P_j, which is x_i - max_j x_j >= log p_min.
export function minPFilter(logits, minP) {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  return logits.map((logit) => (logit - largest >= Math.log(minP) ? logit : -Infinity));
}

// The temperature and then the filters, in the order of lmmath.sampling.sample: each sees what the
// one before it left. Gives logits.
export function truncate(logits, { temperature, topK, topP, minP }) {
  return minPFilter(topPFilter(topKFilter(cool(logits, temperature), topK), topP), minP);
}

// The first possible token at which the cumulative sum passes u times the whole.
export function drawToken(probabilities, u) {
  let sum = 0;
  const total = probabilities.map((p) => (p > 0 ? (sum += p) : 0));
  return total.findIndex((end) => end > u * sum);
}

// One token from the logits of a large vocabulary, for a uniform number u: {token, probability}, where
// the probability is the model's own. A temperature of 0 takes the most probable.
export function drawFrom(logits, settings, u) {
  const probabilities = softmax(logits);
  const token =
    settings.temperature === 0
      ? logits.indexOf(logits.reduce((a, b) => Math.max(a, b), -Infinity))
      : drawToken(softmax(truncate(logits, settings)), u);
  return { token, probability: probabilities[token] };
}

// Number i of the uniform numbers on [0, 1) that belong to a seed: a counter, mixed by the last step
// of MurmurHash3. So each number can be had without those before it.
export function uniform(seed, i) {
  let hash = seed + Math.imul(i + 1, 0x9e3779b9);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

function keepOnly(logits, ids) {
  const kept = new Float64Array(logits.length).fill(-Infinity);
  for (const id of ids) kept[id] = logits[id];
  return kept;
}
