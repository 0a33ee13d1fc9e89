// Gradient descent that a reader can start, pause, and take step by step.
import { descend, learn } from "../engines/mlp.js";
import { animate } from "./shared.js";

const RATE = 1;
const GOAL = 0.01; // the error at which it ends
const MOST_STEPS = 4000; // until it is asked for again
const STEPS_PER_SECOND = 200;
const SLICE = 8; // milliseconds, after which the page gets its turn
const MOST_RECORDS = 400; // more would not be seen in a plot

// `read()` gives { params, activation, points, targets }, and `write(params)` the model new params.
export function descent(read, write, signal) {
  let steps = 0; // since anything else has changed
  let errors = []; // pairs of a step and the error before it
  let known; // the params that these lead to, as text: a kernel sends back copies
  let unseen; // a state that moves on without being shown
  let stop; // while it runs

  function record(error) {
    if (errors.at(-1)?.[0] !== steps) errors.push([steps, error]);
    if (errors.length > MOST_RECORDS) errors = errors.filter((_, i) => i % 2 === 0);
  }

  // Move the params of a state by a step. Gives back false, and does nothing, at the goal.
  function move(state) {
    const { error, gradient } = learn(state.params, state.activation, state.points, state.targets);
    record(error);
    if (!(error > GOAL)) return false;
    state.params = descend(state.params, gradient, RATE);
    steps += 1;
    return true;
  }

  function show({ params }) {
    known = JSON.stringify(params);
    write(params);
  }

  function run(ended) {
    let [left, due] = [MOST_STEPS, 0];
    const frame = (seconds) => {
      const state = read();
      for (due += seconds * STEPS_PER_SECOND; due >= 1 && left > 0; due -= 1) {
        left = move(state) ? left - 1 : 0;
      }
      show(state);
      return left > 0;
    };
    return animate(frame, signal, ended);
  }

  // Who asked for no motion sees the end alone.
  function runUnseen(ended) {
    let left = MOST_STEPS;
    let timer;
    const finish = () => {
      clearTimeout(timer);
      if (unseen && !signal.aborted) show(unseen);
      unseen = undefined;
      ended();
    };
    const slice = () => {
      unseen ??= read();
      const end = performance.now() + SLICE;
      while (left > 0 && performance.now() < end) left = move(unseen) ? left - 1 : 0;
      if (left > 0 && !signal.aborted) timer = setTimeout(slice);
      else finish();
    };
    timer = setTimeout(slice);
    return finish;
  }

  return {
    // What was recorded up to the model's params, which have this error. If someone else has
    // changed them, a new record begins.
    follow(params, error) {
      const text = JSON.stringify(params);
      if (text !== known) this.forget();
      known = text;
      if (!unseen) record(error);
      return { steps, errors };
    },
    forget() {
      steps = 0;
      errors = [];
      unseen = undefined;
    },
    step() {
      const state = read();
      if (move(state)) show(state);
    },
    start(ended) {
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      stop = (still ? runUnseen : run)(() => {
        stop = undefined;
        ended();
      });
    },
    pause() {
      stop?.();
    },
    running: () => stop !== undefined,
  };
}
