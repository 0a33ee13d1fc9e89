// Light or dark, as the reader chose on another page or as the system has it. Before the page is
// drawn, so that it does not flash in the other colours.
{
  const root = document.documentElement;
  const mode = localStorage.getItem("mode") || "auto";
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.mode = mode;
  root.dataset.theme = mode === "auto" ? (dark ? "dark" : "light") : mode;
}
