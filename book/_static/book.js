// What the pages do beyond the theme. Each part stands alone, and without any of them the page can be read.
"use strict";

// A formula is text: the Tab key passes it, and a right click still opens its menu. That menu is half of MathJax, so that it
// comes only where there is a mouse, and its absence stops nothing. A copy of the pages has all parts in one file.
window.MathJax = window.MathJax || {};
const source = document.currentScript.dataset.mathjax; // on pages with formulas
const PARTS = ["input/tex", "output/chtml", "a11y/assistive-mml"];
const MENU = "ui/menu";
const inParts = source?.endsWith("/startup.js");
const withMenu = !inParts || matchMedia("(hover: hover)").matches;
if (withMenu) MathJax.options = { ...MathJax.options, menuOptions: { settings: { inTabOrder: false } } };
if (inParts)
  MathJax.loader = {
    load: withMenu ? [...PARTS, MENU] : PARTS,
    async failed(error) {
      console.warn(`MathJax: ${error.package} did not load`);
      if (error.package !== MENU) return;
      delete MathJax.config.options.menuOptions;
      await MathJax.loader.load(...PARTS);
      MathJax.config.startup.ready();
    },
  };

// Lines of a formula that only a phone has to break (see the extension `formulas`).
const narrow = matchMedia("(max-width: 600px)").matches;
MathJax.tex = { ...MathJax.tex, macros: { ...MathJax.tex?.macros, phonebreak: [narrow ? "\\\\&#1{}" : "", 1] } };

// Formulas are set as they come near the screen, so that a slow phone has little to do at first; until then a formula stands
// there as it was written. Paper wants all at once.
const isUnset = (formula) => !formula.querySelector("mjx-container");
const unset = (within) => [...within.querySelectorAll(".math")].filter(isUnset);
let setting = Promise.resolve(); // MathJax sets one list of formulas at a time
const typeset = (formulas) => (setting = setting.then(() => MathJax.typesetPromise?.(formulas.filter(isUnset))));
async function setFormulas(within = document) {
  await loaded;
  return typeset(unset(within));
}
const loaded = new Promise((resolve) => {
  if (!source) return resolve();
  MathJax.startup = {
    ...MathJax.startup,
    typeset: false,
    ready() {
      MathJax.startup.defaultReady();
      resolve(MathJax.startup.promise);
      const near = (entries) => {
        const come = entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target);
        come.forEach((formula) => observer.unobserve(formula));
        typeset(come);
      };
      const observer = new IntersectionObserver(near, { rootMargin: "800px" });
      unset(document).forEach((formula) => observer.observe(formula));
      addEventListener("beforeprint", () => MathJax.typeset(unset(document)));
    },
  };
  const script = Object.assign(document.createElement("script"), { src: source, onerror: resolve });
  // The first paint comes before it: a frame is painted between its callbacks and the next task.
  requestAnimationFrame(() => setTimeout(() => document.head.append(script)));
});

// The theme scrolls its sidebar to the active page, and thereby hides the book's name and the search.
if (sessionStorage.getItem("sidebar-scroll-top") === null) sessionStorage.setItem("sidebar-scroll-top", "0");

// The arrow keys turn the pages, unless they are at work in what has the focus.
const USES_ARROWS =
  "input, select, textarea, audio, video, dialog, details, [contenteditable], [popover], [tabindex='0'], .ode-lab, .ode-explore";
document.addEventListener("keydown", (event) => {
  const plain = !(event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.defaultPrevented);
  const where = { ArrowLeft: "a.left-prev", ArrowRight: "a.right-next" }[event.key];
  if (plain && where && !event.target.closest(USES_ARROWS)) document.querySelector(where)?.click();
});

// The theme takes the focus from the button of a drawer when it opens; it belongs there again when the drawer closes.
document.addEventListener("DOMContentLoaded", () => {
  for (const side of ["primary", "secondary"])
    document.getElementById(`pst-${side}-sidebar-modal`)?.addEventListener("close", () => {
      setTimeout(() => document.querySelector(`.${side}-toggle`)?.focus());
    });
});

// A drawer that covers the page gives way to the section that was chosen in it; its button, which gets the focus back, may
// stand elsewhere on the page.
document.addEventListener("click", (event) => {
  const link = event.target.closest("dialog[open] a[href^='#']");
  if (!link) return;
  const drawer = link.closest("dialog");
  const show = () => document.getElementById(decodeURIComponent(link.hash.slice(1)))?.scrollIntoView();
  drawer.addEventListener("close", () => setTimeout(show), { once: true });
  drawer.close();
});

// Laboratories that compute in the page begin when they are seen. Pages that were opened as files keep the still picture:
// a browser loads modules from a server only.
document.addEventListener("DOMContentLoaded", async () => {
  if (location.protocol === "file:" || !document.querySelector("[data-explore]")) return;
  const { watch } = await import("./explore/frame.js");
  watch();
});
