(() => {
  // A record: id, n (place in the input), doubt, error ([type, message, …] or null), fields ([pointer, value, confidence,
  // why it was withheld or is doubted, whether it was withheld, evidence, truth where it differs, right or not]), more (values left out), text (null, or pieces:
  // [text, fields] or a number of characters left out), size, notes.
  const { records, fields } = JSON.parse(document.getElementById("records").textContent);

  const pattern = (pointer) => pointer.split("/").map((part) => (/^\d+$/.test(part) ? "*" : part)).join("/");
  const percent = (share) => (share === null ? "–" : (100 * share).toFixed(share > 0.995 && share < 1 ? 2 : 0) + " %");

  const doubt = (record, field) => {
    if (field === null || record.error) return record.doubt;
    const some = record.fields.filter((f) => pattern(f[0]) === field);
    return Math.max(-1, ...some.map((f) => (f[2] !== null ? 1 - f[2] : f[4] || f[7] === false ? 1 : 0)));
  };

  const TESTS = {
    all: () => true,
    failed: (r) => r.error,
    withheld: (r, chosen) => r.fields.some((f) => f[4] && chosen(f)),
    doubt: (r, chosen) => r.fields.some((f) => f[2] !== null && f[2] < 0.5 && chosen(f)),
    wrong: (r, chosen) => r.fields.some((f) => f[7] === false && chosen(f)),
  };
  const ORDERS = {
    doubt: (field) => { const d = new Map(records.map((r) => [r, doubt(r, field)])); return (a, b) => d.get(b) - d.get(a) || a.n - b.n; },
    n: () => (a, b) => a.n - b.n,
    size: () => (a, b) => b.size - a.size || a.n - b.n,
  };

  const meter = (record) => {
    const box = el("span", undefined, "meter"), fill = el("i");
    const share = Math.min(1, record.doubt);
    fill.style.width = 100 * share + "%";
    fill.style.background = `color-mix(in oklab, rgb(var(--low)) ${100 * share}%, rgb(var(--high)))`;
    box.title = record.error ? "failed" : `doubt ${percent(share)}`;
    box.append(fill);
    return box;
  };

  const card = (record) => {
    const line = el("summary");
    line.append(meter(record), el("span", record.id, "id"));
    line.append(record.error ? el("span", record.error.slice(0, 2).join(": "), "gist failed") : el("span", record.fields.map((f) => f[1]).join(" · "), "gist"));
    return unfolding(line, () => body(record));
  };

  const body = (record) => {
    const box = el("div", undefined, "body"), marks = new Map(), rows = [];
    const choose = (number) => {
      for (const node of box.querySelectorAll(".chosen")) node.classList.remove("chosen");
      rows[number]?.classList.add("chosen");
      for (const mark of marks.get(number) || []) mark.classList.add("chosen");
    };
    if (record.text) box.append(page(record, marks, choose));
    if (record.error) box.append(el("div", record.error.join("\n"), "error"));
    else box.append(values(record, marks, rows, choose));
    if (record.notes.length) box.append(el("p", record.notes.join(" · "), "notes"));
    return box;
  };

  const page = (record, marks, choose) => {
    const box = el("div", undefined, "document");
    for (const piece of record.text) {
      if (typeof piece === "number") { box.append(el("span", `\n[… ${piece.toLocaleString("en")} characters …]\n`, "gap")); continue; }
      const [text, of] = piece;
      const node = el(of.length ? "mark" : "span", text);
      if (of.length) {
        node.title = of.map((n) => record.fields[n][0] || "value").join(", ");
        node.addEventListener("mouseenter", () => choose(of[of.length - 1]));
        for (const n of of) marks.set(n, [...(marks.get(n) || []), node]);
      }
      box.append(node);
    }
    return box;
  };

  const values = (record, marks, rows, choose) => {
    const table = el("table", undefined, "values"), head = el("tr");
    head.append(el("th", "field"), el("th", "value"), el("th", "confidence", "n"));
    table.append(head);
    record.fields.forEach(([pointer, value, sure, why, withheld, evidence, truth, right], n) => {
      const row = el("tr", undefined, right === true ? "right" : right === false ? "wrong" : "");
      const cell = el("td");
      cell.append(el("span", value, "value"));
      if (why) cell.append(el("span", withheld ? `withheld: ${why}` : why, "why"));
      if (truth) cell.append(el("span", `true: ${truth}`, "true"));
      if (evidence && !marks.has(n)) cell.append(el("span", `evidence: ${evidence}`, "why"));
      row.append(el("td", pointer || "value"), cell, el("td", sure === null ? "" : percent(sure), "n"));
      if (marks.has(n)) {
        row.classList.add("marked");
        row.addEventListener("mouseenter", () => choose(n));
        row.addEventListener("click", () => { const [mark] = marks.get(n); mark.parentNode.scrollTop = mark.offsetTop - mark.parentNode.offsetTop - 60; });
      }
      rows.push(row);
      table.append(row);
    });
    if (record.more) { const row = el("tr"); row.append(el("td", `${record.more} more`, "gap")); table.append(row); }
    return table;
  };

  const show = listed(card, records.length, "records");
  const update = () => {
    const field = get("field").selectedIndex ? fields[get("field").selectedIndex - 1] : null, words = get("find").value.toLowerCase(), test = TESTS[get("show").value];
    const chosen = (f) => field === null || pattern(f[0]) === field;
    const has = (r) => !words || r.id.toLowerCase().includes(words) || r.fields.some((f) => f[1].toLowerCase().includes(words));
    show(records.filter((r) => test(r, chosen) && has(r)).sort(ORDERS[get("sort").value](field)));
  };

  for (const name of fields) get("field").append(el("option", name || "value"));
  for (const id of ["show", "sort", "field"]) get(id).addEventListener("change", update);
  get("find").addEventListener("input", update);
  update();
})();
