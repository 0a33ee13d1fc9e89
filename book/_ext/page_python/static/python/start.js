// A bar below each code cell, to run and to change it. All else comes when it is used.

const MISSING = { torch: "PyTorch", model: "the real model", library: "another library" };
const load = () => import("./cells.js");
const exercises = [];

for (const cell of document.querySelectorAll(".runs")) {
  const bar = document.createElement("div");
  bar.className = "cell-bar";
  const missing = Object.keys(MISSING).find((name) => cell.classList.contains(`needs-${name}`));
  const exercise = /^check\((\w+)/m.exec(cell.querySelector("pre").textContent)?.[1];
  if (missing) {
    bar.innerHTML = `Needs ${MISSING[missing]}, which this page has not:&nbsp;<a href="index.html#read-it-run-it-teach-with-it">run the notebook</a>`;
  } else {
    bar.innerHTML = `<button data-do="run">${exercise ? "Check" : "Run"}</button><button data-do="edit">Edit</button>`;
  }
  cell.querySelector(".cell_input").append(bar);
  if (exercise) exercises.push(exercise);
}

document.addEventListener("click", async ({ target }) => {
  const cell = target.closest(".runs");
  const button = target.closest(".cell-bar:not([data-ready]) button");
  const code = getSelection().isCollapsed && target.closest(".runs .cell_input pre");
  if (button || code) (await load()).press(cell, button?.dataset.do ?? "edit");
});

// An answer from an earlier visit comes back.
if (exercises.some((exercise) => localStorage.getItem(`answer:${exercise}`))) load();
