// Search the sections of the book (sections.js): how well each fits, best first, with its words around what was asked.
"use strict";
(() => {
  const TITLE = 5, PLACE = 1.5, SHOWN = 20;
  const ENDINGS = /(?:ies|es|s|ing|ed)$/;
  // "Lie-Trotter" and "lie trotter", "solvers" and "solver" are the same words.
  const stem = (word) => (word.length > 4 ? word.replace(ENDINGS, "") : word);
  const words = (text) => text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const stems = (text) => words(text).map(stem);

  function counted(list) {
    const counts = new Map();
    for (const word of list) counts.set(word, (counts.get(word) ?? 0) + 1);
    return counts;
  }

  const docs = SECTIONS.map(([page, anchor, title, text, place]) => {
    const body = stems(text), head = stems(title);
    return { page, anchor, title, text, place, body, head, counts: counted(body), heads: new Set(head),
      places: new Set(stems(place)), joined: ` ${body.join(" ")} `, headed: ` ${head.join(" ")} ` };
  });
  const mean = docs.reduce((sum, doc) => sum + doc.body.length, 0) / docs.length;

  // BM25 for the words, more for those of the title, and more again where they stand together.
  function score(doc, asked, rarity) {
    let sum = 0, found = 0;
    asked.forEach((word, index) => {
      const count = doc.counts.get(word) ?? 0;
      const inTitle = doc.heads.has(word), inPlace = doc.places.has(word);
      if (count || inTitle || inPlace) found += 1;
      const often = (count * 2.2) / (count + 1.2 * (0.4 + (0.6 * doc.body.length) / mean));
      sum += rarity[index] * (often + (inTitle ? TITLE * Math.min(1, 3 / doc.head.length) : 0) + (inPlace ? PLACE : 0));
    });
    if (!found) return 0;
    const phrase = ` ${asked.join(" ")} `;
    if (asked.length > 1 && doc.joined.includes(phrase)) sum *= 1.5;
    if (doc.headed === phrase) sum *= 1.8;
    else if (doc.headed.includes(phrase)) sum *= 1.3;
    // The reference and the bibliography answer those who ask for a name; a chapter explains.
    if (doc.page.includes("/reference/") && !doc.title.toLowerCase().includes(asked.join("_"))) sum *= 0.5;
    if (/bibliography|whats-new|credits/.test(doc.page)) sum *= 0.4;
    if (/(Exercises|Summary)$/.test(doc.title)) sum *= 0.8;
    return sum * (found / asked.length) ** 2;
  }

  function search(query) {
    const asked = stems(query);
    if (!asked.length) return [];
    const rarity = asked.map((word) => {
      const having = docs.filter((doc) => doc.counts.has(word) || doc.heads.has(word)).length;
      return Math.log(1 + (docs.length - having + 0.5) / (having + 0.5));
    });
    return docs.map((doc) => [score(doc, asked, rarity), doc]).filter(([sum]) => sum > 0)
      .sort(([a], [b]) => b - a).slice(0, SHOWN).map(([, doc]) => doc);
  }

  // The words around the first that was asked for, as nodes: what is marked is marked as an element, not as HTML.
  function snippet(text, query) {
    const asked = new Set(stems(query)), parts = text.split(/([\p{L}\p{N}]+)/u);
    const hits = parts.map((part) => asked.has(stem(part.toLowerCase())));
    const first = Math.max(0, hits.indexOf(true) - 24), line = document.createElement("p");
    if (first) line.append("\u2026 ");
    parts.slice(first, first + 70).forEach((part, index) => {
      if (!hits[first + index]) return line.append(part);
      const mark = document.createElement("mark");
      mark.textContent = part;
      line.append(mark);
    });
    if (parts.length > first + 70) line.append(" \u2026");
    return line;
  }

  function show(query) {
    const found = search(query), list = document.createElement("ol");
    for (const doc of found) {
      const item = document.createElement("li"), link = document.createElement("a"), place = document.createElement("span");
      link.href = `${document.documentElement.dataset.content_root}${doc.page}.html${doc.anchor ? `#${doc.anchor}` : ""}`;
      link.textContent = doc.title;
      place.className = "place";
      place.textContent = doc.anchor ? doc.place : "";
      item.append(link, " ", place, snippet(doc.text, query));
      list.append(item);
    }
    const said = document.createElement("p");
    said.textContent = found.length ? `${found.length === SHOWN ? "The best" : "Found"} ${found.length} sections for \u201c${query}\u201d`
      : `Nothing in the book has \u201c${query}\u201d. Try one word of it, or another word for it.`;
    document.getElementById("search-results").replaceChildren(said, list);
  }

  const query = new URLSearchParams(location.search).get("q")?.trim() ?? "";
  document.querySelectorAll("form.bd-search input[name=q]").forEach((field) => { field.value = query; });
  if (query) show(query);
  else document.querySelector(".bd-search-container input")?.focus();
  window.searchBook = search;
})();
