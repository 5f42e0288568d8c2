"use strict";
const get = (id) => document.getElementById(id);
const el = (tag, text, kind) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
};

// A record that unfolds; what it holds is made when it is opened first.
const unfolding = (line, body) => {
  const node = el("details", undefined, "record");
  node.append(line);
  node.addEventListener("toggle", () => { if (node.open && node.childElementCount === 1) node.append(body()); });
  return node;
};

// The list of a page, of `total` things in all, 50 more at a time; gives a function that shows some of them, as `card` draws them.
const listed = (card, total, things) => {
  const list = get("list"), more = get("more");
  const PAGE = 50;
  let found = [], shown = 0;
  const extend = () => {
    list.append(...found.slice(shown, shown + PAGE).map(card));
    shown = Math.min(found.length, shown + PAGE);
    more.hidden = shown >= found.length;
    get("count").textContent = `${found.length.toLocaleString("en")} of ${total.toLocaleString("en")} ${things}`;
  };
  more.addEventListener("click", extend);
  return (some) => {
    found = some;
    shown = 0;
    list.replaceChildren();
    extend();
    if (list.firstChild) list.firstChild.open = true;
  };
};
