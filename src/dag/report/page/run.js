"use strict";
// The page is whole without this: it adds search, order, and the way from a bar to its row.
(() => {
  const table = document.querySelector("#units table");
  const body = table.tBodies[0];
  const search = document.getElementById("search");
  const state = document.getElementById("state");
  const shown = document.getElementById("shown");
  const rows = [...body.rows].map((row) => ({ row, text: row.textContent.toLowerCase() }));

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let number = 0;
    for (const { row, text } of rows) {
      const fits =
        (!state.value || row.dataset.state === state.value) &&
        words.every((word) => text.includes(word));
      row.hidden = !fits;
      number += fits;
    }
    const [some, all] = [number, rows.length].map((one) => one.toLocaleString("en"));
    shown.textContent = `${some} of ${all} packages are shown.`;
    const asked = new URLSearchParams();
    if (search.value) asked.set("q", search.value);
    if (state.value) asked.set("state", state.value);
    if (asked.size || location.hash.startsWith("#?")) history.replaceState(null, "", `#?${asked}`);
  }

  function sort(head) {
    const column = head.cellIndex;
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = ({ row }) => {
      const value = row.cells[column].dataset.value;
      return value === undefined ? row.cells[column].textContent : value === "" ? -1 : Number(value);
    };
    const keyed = rows.map((one) => [key(one), one]);
    keyed.sort(([a], [b]) => (typeof a === "number" ? a - b : a.localeCompare(b)));
    if (down) keyed.reverse();
    body.append(...keyed.map(([, { row }]) => row));
  }

  let waiting = 0;
  search.addEventListener("input", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(filter);
  });
  state.addEventListener("change", filter);
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  for (const button of table.tHead.querySelectorAll("button")) {
    button.addEventListener("click", () => sort(button.parentNode));
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      search.focus();
    }
  });
  document.querySelector(".timeline")?.addEventListener("click", (event) => {
    const bar = event.target.closest("[data-unit]");
    const row = bar && document.getElementById(`unit-${bar.dataset.unit}`);
    if (!row) return;
    for (const old of body.querySelectorAll(".found")) old.classList.remove("found");
    row.hidden = false;
    row.classList.add("found");
    row.scrollIntoView({ block: "center" });
  });

  const asked = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
  search.value = asked.get("q") ?? "";
  state.value = asked.get("state") ?? "";
  filter();
})();
