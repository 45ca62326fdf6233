"use strict";
// Theme: as the system has it, until the button is pressed.
document.getElementById("theme").addEventListener("click", (event) => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  event.currentTarget.setAttribute("aria-pressed", String(root.dataset.theme !== system));
});
// Sorting: numbers by their value, everything else as text; a table's rows, or its bodies where a row has details.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const grouped = table.classList.contains("rows");
      const parent = grouped ? table : table.tBodies[0];
      const items = [...(grouped ? table.tBodies : parent.rows)];
      const cell = (item) => (grouped ? item.rows[0] : item).cells[column];
      const compare = (a, b) => {
        const [x, y] = [cell(a), cell(b)];
        const [m, n] = [x.dataset.sort, y.dataset.sort];
        if (m !== undefined && n !== undefined) return Number(m) - Number(n);
        if (m !== undefined || n !== undefined) return m !== undefined ? -1 : 1;
        return x.textContent.localeCompare(y.textContent);
      };
      items.sort((a, b) => (down ? compare(b, a) : compare(a, b))).forEach((item) => parent.append(item));
    });
  });
}
// On paper nothing can be opened; what stands beside single rows is among the deviations at the end.
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll(".notes, #deviations details")) part.open = true;
});
