// A look at what a link leads to: an equation, theorem, exercise, figure, term or cited work. A mouse rests on the
// link, the keyboard's focus stays on it, or a finger taps it; a second tap, or the link in the preview, goes there.
"use strict";
(() => {
  const PREVIEWED = "div.math, dt, figure, .proof, .exercise, .citation";
  const box = document.createElement("aside");
  box.id = "preview";
  box.setAttribute("role", "note");
  box.setAttribute("aria-label", "Preview");
  box.hidden = true;
  let shownFor = null, timer = 0;
  const pages = new Map();

  const isHere = (url) => url.pathname === location.pathname;

  function load(url) {
    if (isHere(url)) return Promise.resolve(document);
    if (!pages.has(url.pathname)) {
      const answer = fetch(url.pathname).then((response) => (response.ok ? response.text() : Promise.reject(response.status)));
      pages.set(url.pathname, answer.then((text) => new DOMParser().parseFromString(text, "text/html")));
    }
    return pages.get(url.pathname);
  }

  function content(page, id) {
    let target = page.getElementById(id);
    if (target?.matches("span:empty, a:empty")) target = target.nextElementSibling ?? target.parentElement;
    target = target?.closest(PREVIEWED);
    if (!target) return [];
    // A term is explained by what follows it; a term with its explanation is the whole entry.
    const parts = target.matches("dt") ? [target, target.nextElementSibling] : [target];
    return parts.filter(Boolean).map((part) => {
      const copy = document.importNode(part, true);
      copy.querySelectorAll(".headerlink, button, script, .backrefs").forEach((extra) => extra.remove());
      [copy, ...copy.querySelectorAll("[id]")].forEach((one) => one.removeAttribute("id"));
      return copy;
    });
  }

  function place(link) {
    const at = link.getBoundingClientRect(), width = Math.min(480, innerWidth - 24);
    box.style.width = `${width}px`;
    box.style.left = `${scrollX + Math.max(12, Math.min(at.left, innerWidth - width - 12))}px`;
    const above = at.bottom + box.offsetHeight + 12 > innerHeight && at.top > box.offsetHeight + 12;
    box.style.top = `${scrollY + (above ? at.top - box.offsetHeight - 6 : at.bottom + 6)}px`;
  }

  async function show(link, tapped) {
    const url = new URL(link.href);
    let parts;
    try {
      parts = content(await load(url), decodeURIComponent(url.hash.slice(1)));
    } catch (reason) {
      console.info(`No preview of ${url}: ${reason}`);
      parts = [];
    }
    if (!parts.length) return tapped && link.matches("a") ? location.assign(link.href) : undefined;
    box.replaceChildren(...parts);
    if (tapped) {
      const go = document.createElement("a");
      go.href = link.href;
      go.textContent = "Go there";
      go.className = "go";
      box.append(go);
    }
    box.hidden = false;
    shownFor = link;
    place(link);
    await setFormulas(box);
    if (shownFor === link) place(link);
  }

  function hide() {
    clearTimeout(timer);
    box.hidden = true;
    shownFor = null;
  }

  const previewed = (node) => {
    const link = node.closest?.("article a.internal[href*='#']:not(.headerlink), article .bibtex-citation a[href*='#']");
    return link && new URL(link.href).hash.length > 1 && !link.closest("#preview") ? link : null;
  };

  function soon(event) {
    const link = previewed(event.target);
    if (!link) return;
    clearTimeout(timer);
    timer = setTimeout(() => show(link, false), event.type === "focusin" ? 500 : 250);
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelector("article")?.append(box));
  let touched = false;
  document.addEventListener("pointerdown", (event) => { touched = event.pointerType === "touch"; }, true);
  document.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse") soon(event); });
  document.addEventListener("focusin", (event) => { if (!touched) soon(event); });
  document.addEventListener("pointerout", (event) => {
    if (event.pointerType !== "mouse" || !(previewed(event.target) || event.target.closest?.("#preview"))) return;
    clearTimeout(timer);
    timer = setTimeout(() => { if (!box.matches(":hover")) hide(); }, 200);
  });
  document.addEventListener("focusout", (event) => { if (previewed(event.target)) hide(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !box.hidden) hide(); });
  document.addEventListener("click", (event) => {
    const link = previewed(event.target);
    if (link && touched && shownFor !== link) {
      event.preventDefault();
      show(link, true);
    } else if (!box.hidden && !event.target.closest("#preview")) hide();
  });
})();
