// What the theme's buttons do, without code written into the page.
for (const button of document.querySelectorAll("[data-print]")) {
  button.addEventListener("click", () => window.print());
}
document.querySelector(".bd-search-container input")?.focus();
