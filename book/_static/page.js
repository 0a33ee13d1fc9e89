// What the theme's buttons do, without code written into the page.
for (const button of document.querySelectorAll("[data-print]")) {
  button.addEventListener("click", () => window.print());
}
document.querySelector(".bd-search-container input")?.focus();

// What is wider than the page scrolls: by keyboard too.
const SCROLLING = ".math-scroll, .pst-scrollable-table-container, .highlight pre, .cell_output > .output";
const observer = new ResizeObserver((entries) => {
  const boxes = entries.map(({ target }) => target);
  // First look at all, then change them: else each would be laid out by itself.
  const scrolls = boxes.map((box) => box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight);
  boxes.forEach((box, i) => {
    if (scrolls[i]) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
});
for (const box of document.querySelectorAll(SCROLLING)) observer.observe(box);
