"use strict";
// Sorting and filtering of runs, citations of cells. Without it the page shows the same.
(() => {
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  const ownText = (cell) => {
    const copy = cell.cloneNode(true);
    copy.querySelectorAll(".interval, sup, .tag, .unit, .arrow").forEach((part) => part.remove());
    return copy.textContent.trim().replace(/\s+/g, " ");
  };

  // Numbers are printed with a minus sign and narrow spaces.
  const asNumber = (text) => {
    const plain = text.replace(/\u2212/g, "-").replace(/[\u202f\s]/g, "");
    return plain !== "" && Number.isFinite(Number(plain)) ? Number(plain) : null;
  };

  const compare = (one, other) => {
    const [a, b] = [asNumber(one), asNumber(other)];
    if (a !== null && b !== null) return a - b;
    if (a !== null || b !== null) return a !== null ? -1 : 1;
    return one.localeCompare(other, "en");
  };

  const makeSortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    const sort = (place) => {
      const up = heads[place].getAttribute("aria-sort") !== "ascending";
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      heads[place].setAttribute("aria-sort", up ? "ascending" : "descending");
      for (const body of table.tBodies) {
        const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
        const keyed = rows.map((row) => [ownText(row.cells[place]), row]);
        keyed.sort((a, b) => (up ? compare(a[0], b[0]) : compare(b[0], a[0])));
        body.append(...keyed.map(([, row]) => row));
      }
    };
    heads.forEach((head, place) => {
      const button = make("button", { type: "button", className: "sort" });
      button.append(...head.childNodes);
      button.querySelectorAll("a").forEach((link) => link.replaceWith(...link.childNodes));
      button.append(make("span", { className: "arrow" }));
      button.addEventListener("click", () => sort(place));
      head.append(button);
    });
  };

  const makeFilter = (bar, table) => {
    const [text, status] = [bar.querySelector("input"), bar.querySelector("select")];
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    const runs = rows.filter((row) => !row.classList.contains("group"));
    const words = runs.map((row) => row.textContent.toLowerCase());
    const place = [...table.tHead.rows[0].cells].findIndex((head) => head.dataset.key === "status");
    const states = runs.map((row) => ownText(row.cells[place]));
    const apply = () => {
      const wanted = text.value.trim().toLowerCase().split(/\s+/);
      let shown = 0;
      runs.forEach((row, i) => {
        const fits = status.value === "" || states[i] === status.value;
        row.hidden = !(fits && wanted.every((word) => words[i].includes(word)));
        shown += row.hidden ? 0 : 1;
      });
      bar.querySelector("output").textContent = `${shown} of ${runs.length} rows`;
    };
    text.addEventListener("input", apply);
    status.addEventListener("change", apply);
    apply();
    bar.hidden = false;
  };

  const panel = document.getElementById("cite");
  const said = panel.querySelector("output");
  const quote = panel.querySelector("textarea");
  let chosen = null;

  const dataRows = (table) =>
    [...table.tBodies].flatMap((body) => [...body.rows].filter((row) => !row.matches(".group")));

  const citation = (cell) => {
    const [row, table] = [cell.parentElement, cell.closest("table")];
    const head = table.tHead.rows[0].cells[cell.cellIndex];
    const unit = head.querySelector(".unit");
    const interval = cell.querySelector(".interval");
    const parts = [cell.title || ownText(cell)];
    if (unit && asNumber(ownText(cell)) !== null) parts[0] += ` ${unit.textContent}`;
    if (interval) {
      parts[0] += ` (${document.body.dataset.confidence} % interval ${interval.textContent})`;
    }
    if (cell.cellIndex > 0) parts.push(`${ownText(head)}, ${ownText(row.cells[0])}`);
    const twin = row.querySelector(".tag") || row.parentElement.querySelector(".group .tag");
    if (twin) parts.push(twin.textContent);
    parts.push(table.closest(".tablebox").dataset.name);
    parts.push(row.parentElement.dataset.source);
    return parts.filter(Boolean).join("; ").replace(/\s+/g, " ");
  };

  const choose = (cell) => {
    if (chosen) chosen.classList.remove("chosen");
    chosen = cell;
    cell.classList.add("chosen");
    quote.value = `${citation(cell)}; rendered by ${document.body.dataset.version}`;
    panel.querySelector("a").href = `#${cell.dataset.anchor}`;
    said.textContent = "";
    panel.hidden = false;
    quote.style.height = "auto";
    quote.style.height = `${quote.scrollHeight + 2}px`;
  };

  const close = () => {
    panel.hidden = true;
    if (!chosen) return;
    chosen.classList.remove("chosen");
    if (panel.contains(document.activeElement) || document.activeElement === document.body) {
      chosen.focus();
    }
    chosen = null;
  };

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(quote.value);
      said.textContent = "Copied";
    } catch {
      quote.focus();
      quote.select();
      said.textContent = "Selected: copy it with your keyboard";
    }
  };

  const step = (cell, key, rows) => {
    const [row, place] = [cell.parentElement, cell.cellIndex];
    const seen = rows().filter((each) => !each.hidden);
    const at = seen.indexOf(row);
    const to = {
      ArrowLeft: () => row.cells[place - 1],
      ArrowRight: () => row.cells[place + 1],
      ArrowUp: () => seen[at - 1]?.cells[place],
      ArrowDown: () => seen[at + 1]?.cells[place],
      Home: () => row.cells[0],
      End: () => row.cells[row.cells.length - 1],
    }[key];
    return to ? to() : undefined;
  };

  const makeCitable = (table) => {
    const rows = dataRows(table);
    const box = table.closest(".tablebox").id;
    rows.forEach((row, r) => {
      [...row.cells].forEach((cell, c) => {
        cell.dataset.anchor = `${box}.r${r + 1}.c${c + 1}`;
        cell.tabIndex = -1;
      });
    });
    if (!rows.length) return;
    table.setAttribute("role", "grid");
    let stop = rows[0].cells[Math.min(1, rows[0].cells.length - 1)];
    stop.tabIndex = 0;
    table.addEventListener("focusin", (event) => {
      const cell = event.target.closest("tbody td, tbody th");
      if (!cell || !cell.dataset.anchor) return;
      stop.tabIndex = -1;
      stop = cell;
      stop.tabIndex = 0;
    });
    table.addEventListener("keydown", (event) => {
      if (!event.target.dataset.anchor) return;
      if (event.key === "Enter" || event.key === " ") {
        choose(event.target);
        panel.querySelector("button").focus();
      } else {
        const next = step(event.target, event.key, () => dataRows(table));
        if (!next) return;
        next.focus();
      }
      event.preventDefault();
    });
    table.addEventListener("click", (event) => {
      const cell = event.target.closest("tbody td, tbody th");
      const selecting = String(window.getSelection()) !== "";
      if (cell && cell.dataset.anchor && !event.target.closest("a") && !selecting) choose(cell);
    });
  };

  // What a link leads to may lie in folds.
  const reveal = (element) => {
    for (let fold = element.closest("details"); fold; fold = fold.parentElement.closest("details")) {
      fold.open = true;
    }
  };

  const goTo = () => {
    const wanted = decodeURIComponent(window.location.hash.slice(1));
    const target = document.getElementById(wanted);
    if (target) {
      reveal(target);
      if (target.matches("details")) target.open = true;
      target.scrollIntoView();
    }
    goToCell(wanted);
  };

  const goToCell = (wanted) => {
    if (!/^table-[a-z0-9-]+\.r\d+\.c\d+$/.test(wanted)) return;
    const box = document.getElementById(wanted.split(".")[0]);
    const cell = [...(box ? box.querySelectorAll("[data-anchor]") : [])].find(
      (each) => each.dataset.anchor === wanted,
    );
    if (!cell) return;
    cell.parentElement.hidden = false;
    reveal(cell);
    cell.focus();
    cell.scrollIntoView({ block: "center", inline: "center" });
    choose(cell);
  };

  document.querySelectorAll(".tablebox table").forEach(makeCitable);
  document.querySelectorAll(".filter").forEach((bar) => {
    const table = bar.closest(".tablebox").querySelector("table");
    makeFilter(bar, table);
    makeSortable(table);
  });
  document.querySelectorAll(".needs-script").forEach((hint) => (hint.hidden = false));
  panel.querySelector(".copy").addEventListener("click", copy);
  panel.querySelector(".close").addEventListener("click", close);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !panel.hidden) close();
  });
  document.querySelector(".unfold").addEventListener("click", () => {
    document.querySelectorAll("details").forEach((fold) => (fold.open = true));
  });
  window.addEventListener("hashchange", goTo);
  goTo();
})();
