(() => {
  // A row: index, given ([name, text] of its data), expected (text or null), runs (of each variant: [score, value, text,
  // error, notes]).
  const { rows, variants } = JSON.parse(document.getElementById("rows").textContent);

  const other = () => (get("other") ? Number(get("other").value) : 1);
  const gain = (row) => (row.runs.length > 1 ? row.runs[0][0] - row.runs[other()][0] : 0);
  const failed = (row) => row.runs.some((run) => run[3]);

  const TESTS = {
    all: () => true,
    wrong: (row) => row.runs[0][0] < 1,
    failed,
    won: (row) => gain(row) > 0,
    lost: (row) => gain(row) < 0,
  };
  const ORDERS = {
    n: (a, b) => a.index - b.index,
    score: (a, b) => a.runs[0][0] - b.runs[0][0] || a.index - b.index,
    gain: (a, b) => gain(a) - gain(b) || a.index - b.index,
  };

  const card = (row) => {
    const line = el("summary"), scores = el("span", undefined, "scores");
    row.runs.forEach(([score], n) => scores.append(n ? " / " : "", el("span", String(Math.round(1000 * score) / 1000), score < 1 ? "wrong" : "")));
    const [, value, , error] = row.runs[0];
    line.append(el("span", `row ${row.index}`, "id"), scores, el("span", error || value, error ? "gist failed" : "gist"));
    return unfolding(line, () => body(row));
  };

  const body = (row) => {
    const box = el("div", undefined, "body"), given = el("table", undefined, "given");
    const pairs = row.expected === null ? row.given : [...row.given, ["expected", row.expected]];
    for (const [name, text] of pairs) { const line = el("tr"); line.append(el("td", name), el("td", text)); given.append(line); }
    box.append(given);
    row.runs.forEach(([score, value, text, error, notes], n) => {
      const part = el("div");
      part.append(el("h3", `${variants[n]}: ${score}`));
      if (error) part.append(el("div", error, "error"));
      if (value) part.append(el("div", value, score < 1 ? "outcome wrong" : "outcome"));
      if (text) part.append(el("div", text, "document"));
      part.append(el("p", notes, "notes"));
      box.append(part);
    });
    return box;
  };

  const show = listed(card, rows.length, "rows");
  const texts = (row) => [...row.given.map(([, text]) => text), row.expected || "", ...row.runs.flatMap((run) => run.slice(1, 4))];
  const update = () => {
    const words = get("find").value.toLowerCase(), test = TESTS[get("show").value];
    const has = (row) => !words || texts(row).some((text) => text.toLowerCase().includes(words));
    show(rows.filter((row) => test(row) && has(row)).sort(ORDERS[get("sort").value]));
  };

  for (const id of ["show", "sort", "other"]) get(id)?.addEventListener("change", update);
  get("find").addEventListener("input", update);
  if (location.hash.slice(1) in TESTS) get("show").value = location.hash.slice(1);
  update();
})();
