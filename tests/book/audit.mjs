// Audit the accessibility of pages: what axe-core finds in the light and in the dark, and Lighthouse's score of some.
// Reads {browser, packages, site, pages, scored} from the standard input; writes one JSON object per page.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { browser: address, packages, site, pages, scored } = JSON.parse(readFileSync(0));
const load = (path) => import(pathToFileURL(join(packages, path)));
const { default: puppeteer } = await load("puppeteer-core/lib/esm/puppeteer/puppeteer-core.js");
const { snapshot } = await load("lighthouse/core/index.js");

const CDN = /^https:\/\/(?:cdn\.jsdelivr\.net\/npm|unpkg\.com)\/((?:@[\w.-]+\/)?[\w.-]+)@[\w.-]+\/([^?]*)/;
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const LIGHTHOUSE = {
  onlyCategories: ["accessibility"],
  formFactor: "mobile",
  screenEmulation: { disabled: true },
  disableFullPageScreenshot: true,
};

function serve(request) {
  if (request.url().startsWith(site) || request.url().startsWith("data:")) return request.continue();
  const file = CDN.exec(request.url());
  if (!file) return request.abort();
  return request.respond({ body: readFileSync(join(packages, file[1], file[2])) });
}

// The lines of a drawing and the colours of code say nothing to assistive technology, and are most of a page.
const prune = () => {
  const drawn = (child) => !["title", "desc"].includes(child.tagName);
  document.querySelectorAll("article svg").forEach((svg) => [...svg.children].filter(drawn).forEach((child) => child.remove()));
  document.querySelectorAll("article pre").forEach((pre) => pre.replaceChildren(pre.textContent));
};

// A colour that is still on its way from one theme to the other has no contrast of its own, so nothing fades, and axe
// looks when the page has been painted twice in the new theme.
const STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }";
const turn = (name) => new Promise((painted) => {
  document.documentElement.dataset.theme = name;
  requestAnimationFrame(() => requestAnimationFrame(painted));
});

async function violated(page, theme, options = { runOnly: RULES }) {
  await page.evaluate(turn, theme);
  const { violations } = await page.evaluate((given) => axe.run(document, { resultTypes: ["violations"], ...given }), options);
  return violations
    .map(({ id, help, nodes }) => `${theme}: ${id}: ${help}: ${nodes.slice(0, 5).map(({ html }) => html.slice(0, 160)).join(" | ")}`);
}

async function lighthouse(page) {
  const { lhr } = await snapshot(page, { flags: LIGHTHOUSE });
  const weights = lhr.categories.accessibility.auditRefs.filter(({ weight }) => weight > 0);
  const failed = weights.map(({ id }) => lhr.audits[id]).filter(({ score }) => score !== null && score < 1);
  const faults = failed.map(({ id, title, details }) =>
    `${id}: ${title}: ${(details?.items ?? []).slice(0, 5).map(({ node }) => node?.snippet.slice(0, 160)).join(" | ")}`);
  return { score: lhr.categories.accessibility.score, faults };
}

const browser = await puppeteer.connect({ browserURL: address, defaultViewport: null });
for (const name of pages) {
  const page = await browser.newPage();
  await page.setViewport({ width: 390, height: 844, isMobile: true, hasTouch: true });
  await page.emulateMediaFeatures([{ name: "prefers-reduced-motion", value: "reduce" }]);
  await page.setRequestInterception(true);
  page.on("request", serve);
  await page.goto(`${site}/${name}.html`, { waitUntil: "networkidle0" });
  await page.evaluate(() => setFormulas());

  await page.addStyleTag({ content: STILL });
  await page.addScriptTag({ path: join(packages, "axe-core/axe.min.js") });
  const contrast = { runOnly: ["color-contrast"] };
  const found = [...(await violated(page, "dark", contrast)), ...(await violated(page, "light", contrast))];
  await page.evaluate(prune);
  found.push(...(await violated(page, "light")));

  const judged = scored.includes(name) ? await lighthouse(page) : {};
  console.log(JSON.stringify({ name, violations: found, ...judged }));
  await page.close();
}
await browser.disconnect();
