"use strict";
(() => {
  const { tokens, requests } = JSON.parse(document.getElementById("records").textContent);
  const detail = document.getElementById("detail");
  let pinned = -1;

  const el = (tag, text, kind) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (kind) node.className = kind;
    return node;
  };
  const share = (logprob) => (logprob === null ? 0 : Math.exp(logprob));
  const percent = (logprob) => {
    if (logprob === null) return "–";
    const p = 100 * Math.exp(logprob);
    if (p < 0.01) return "< 0.01 %";
    return (p < 1 || (p > 99 && p < 99.995) ? p.toFixed(2) : p < 10 ? p.toFixed(1) : p.toFixed(0)) + " %";
  };

  const table = (title, top, id) => {
    const box = el("div");
    box.append(el("h3", title));
    const rows = el("table");
    for (const [text, logprob, other] of top) {
      const row = el("tr", undefined, other === id ? "it" : "");
      const bar = el("td", undefined, "share");
      const fill = el("i");
      fill.style.width = 100 * share(logprob) + "%";
      bar.append(fill);
      row.append(el("td", text), bar, el("td", percent(logprob), "n"));
      rows.append(row);
    }
    box.append(rows);
    return box;
  };

  const show = (i) => {
    const [text, forced, allowed, raw, masked, top, topMasked, id, request, retracted, seconds, begin, end] = tokens[i];
    const [hole, language, prompt, cached] = requests[request];
    detail.replaceChildren(el("h2", text), el("p", `token ${i} of ${tokens.length}, id ${id}`));
    detail.append(el("p", begin < end ? `characters ${begin}–${end}` : "not in the text" + (retracted ? ": taken back" : "")));
    detail.append(el("p", `hole ${hole}: ${language}`));
    detail.append(el("p", `${(1000 * seconds).toFixed(1)} ms after the beginning; ${cached} of ${prompt} prompt tokens cached`));
    if (forced) {
      detail.append(el("p", "Forced: the language allowed nothing else here, so the model was not asked."));
    } else {
      detail.append(el("p", `${percent(masked)} among the ${allowed ? allowed.toLocaleString("en") : ""} allowed, ${percent(raw)} by itself`));
      if (top.length) detail.append(table("the model by itself", top, id));
      if (topMasked.length) detail.append(table("as it was drawn: mask and decoder applied", topMasked, id));
    }
    for (const old of document.querySelectorAll(".chosen")) old.classList.remove("chosen");
    for (const node of document.querySelectorAll(`[data-token="${i}"]`)) node.classList.add("chosen");
  };

  const at = (event) => {
    const node = event.target.closest("[data-token]");
    return node ? Number(node.dataset.token) : -1;
  };
  document.addEventListener("mouseover", (event) => { if (at(event) >= 0) show(at(event)); });
  document.addEventListener("mouseout", (event) => { if (at(event) >= 0 && pinned >= 0) show(pinned); });
  document.addEventListener("click", (event) => { if (at(event) >= 0) show((pinned = at(event))); });
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target.closest("input")) return;
    pinned = Math.min(tokens.length - 1, Math.max(0, pinned + step));
    show(pinned);
  });

  const named = /^#token-(\d+)$/.exec(location.hash);
  const sampled = tokens.findIndex((token) => !token[1]);
  pinned = named && Number(named[1]) < tokens.length ? Number(named[1]) : Math.max(0, sampled);
  show(pinned);
  for (const node of document.querySelectorAll(".token[title]")) node.removeAttribute("title");
})();
