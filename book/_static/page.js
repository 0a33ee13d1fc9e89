// What the theme's buttons do, without code written into the page.
for (const button of document.querySelectorAll("[data-print]")) {
  button.addEventListener("click", () => window.print());
}
document.querySelector(".bd-search-container input")?.focus();

// From the reader's first touch on, what is off the screen is left out of the work of every change.
const article = document.querySelector(".bd-article");
for (const touch of ["focusin", "pointerdown"]) {
  article?.addEventListener(touch, () => article.classList.add("in-use"), { once: true });
}

// What is wider than the page scrolls: by keyboard too.
const SCROLLING = ".math-scroll, .pst-scrollable-table-container, .highlight pre, .cell_output > .output";
const boxes = [...document.querySelectorAll(SCROLLING)];
function makeReachable(some) {
  // First look at all, then change them: else each would be laid out by itself.
  const scrolls = some.map((box) => box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight);
  some.forEach((box, i) => {
    if (scrolls[i]) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
}
const observer = new ResizeObserver((entries) => makeReachable(entries.map(({ target }) => target)));
for (const box of boxes) observer.observe(box);

// The browser lays out, and so observes, only what is near the screen. The rest has time.
const whenIdle = window.requestIdleCallback ?? ((task) => setTimeout(task, 50, { timeRemaining: () => 50 }));
let rest = [];
function lookAtSome(deadline) {
  while (rest.length > 0 && deadline.timeRemaining() > 10) makeReachable(rest.splice(0, 4));
  if (rest.length > 0) whenIdle(lookAtSome);
}
function lookAtAll() {
  if (rest.length === 0) whenIdle(lookAtSome);
  rest = [...boxes];
}
window.addEventListener("load", lookAtAll);
window.addEventListener("resize", lookAtAll);
