// What the theme's buttons do, without code written into the page.
for (const button of document.querySelectorAll("[data-print]")) {
  button.addEventListener("click", () => window.print());
}
document.querySelector(".bd-search-container input")?.focus();

// A formula or a table wider than the page scrolls: by keyboard too.
const observer = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }
});
for (const place of document.querySelectorAll(".math-scroll, .pst-scrollable-table-container")) {
  observer.observe(place);
}
