"use strict";
(() => {
  const SHOWN = 200; // rows of a search that are written into the table
  const clean = (text) => text.toLocaleLowerCase();
  const say = (input, text) => { document.getElementById(input.getAttribute("aria-describedby")).textContent = text; };

  // Plain lists: hide what does not hold the words.
  const filterList = (input, list) => {
    const wanted = clean(input.value);
    let found = 0;
    for (const each of list.querySelectorAll(".filterable")) {
      each.hidden = !clean(each.textContent).includes(wanted);
      found += each.hidden ? 0 : 1;
    }
    say(input, wanted ? `${found} found` : "");
  };

  // Tables whose rows stand in JSON beside them: there may be thousands.
  const filterTable = (input, table) => {
    const body = table.tBodies[0];
    body.own ??= [...body.rows];
    const wanted = clean(input.value);
    if (!wanted) { body.replaceChildren(...body.own); say(input, ""); return; }
    table.data ??= JSON.parse(document.getElementById(table.dataset.rows).textContent);
    const found = table.data.filter((row) => clean(`${row.c} ${row.n ?? ""} ${row.p ?? ""}`).includes(wanted));
    body.replaceChildren(...found.slice(0, SHOWN).map(drawRow));
    say(input, `${found.length} found${found.length > SHOWN ? `, the first ${SHOWN} shown` : ""}`);
  };
  const cell = (row, text, number) => { const td = row.insertCell(); td.textContent = text; if (number) td.className = "n"; return td; };
  const words = (name) => name.replaceAll("_", " ");
  const counts = (found) => Object.entries(found).map(([name, n]) => `${words(name)} ${n.toLocaleString()}`).join(", ");
  const drawRow = (data) => {
    const row = document.createElement("tr");
    const head = row.appendChild(document.createElement("th"));
    head.scope = "row";
    head.textContent = data.p === null ? data.c : `${data.n} (${data.c})`;
    cell(row, data.j.toLocaleString(), true);
    const bar = cell(row, "").appendChild(document.createElement("span"));
    bar.className = "bar";
    bar.ariaHidden = "true";
    const total = data.h.reduce((sum, n) => sum + n, 0);
    data.h.forEach((n, index) => { if (n) { const part = bar.appendChild(document.createElement("i")); part.className = `h${index}`; part.style.width = `${100 * n / total}%`; } });
    for (const n of data.h) cell(row, n.toLocaleString(), true);
    cell(row, counts(data.w));
    cell(row, counts(data.o) + (data.i ? ` (${data.i.toLocaleString()} only inferred from silence)` : ""));
    return row;
  };

  for (const input of document.querySelectorAll("input.filter")) {
    const target = document.getElementById(input.dataset.for);
    const run = target.dataset.rows ? () => filterTable(input, target) : () => filterList(input, target);
    input.addEventListener("input", run);
  }
})();
