// Gradient descent that a reader can start, pause, and take step by step.
import { descend, learn } from "./mlp.js";
import { animate } from "./shared.js";

const RATE = 1;
const GOAL = 0.01; // the error at which it ends
const MOST_STEPS = 4000; // until it is asked for again
const STEPS_PER_SECOND = 200;
const SLICE = 8; // milliseconds, after which the page gets its turn
const MOST_RECORDS = 400; // more would not be seen in a plot

// `read()` gives { params, activation, points, targets }, and `write(params)` the model new params.
export function descent(read, write, signal) {
  let [steps, errors] = [0, []]; // since anything else changed; errors are pairs [step, error]
  let written; // the params that the model was given last, as text: a kernel sends back a copy
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
    written = JSON.stringify(params);
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
    let [left, timer] = [MOST_STEPS];
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
    // What was recorded up to now, where the error is this; anew if the params are not its own.
    follow(params, error) {
      if (JSON.stringify(params) !== written) this.forget();
      record(error);
      return { steps, errors };
    },
    forget() {
      [steps, errors, unseen] = [0, []];
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
