// Lighthouse's performance of pages on its throttled phone (slow 4G, CPU four times as slow): a line of JSON for each.
// Reads {browser, packages, site, pages} from the standard input. What the pages take from a CDN comes from `packages`.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { browser: executablePath, packages, site, pages } = JSON.parse(readFileSync(0));
const load = (path) => import(pathToFileURL(join(packages, path)));
const { default: puppeteer } = await load("puppeteer-core/lib/esm/puppeteer/puppeteer-core.js");
const { navigation } = await load("lighthouse/core/index.js");
const CDN = /^https:\/\/(?:cdn\.jsdelivr\.net\/npm|unpkg\.com)\/((?:@[\w.-]+\/)?[\w.-]+)@[\w.-]+\/([^?]*)/;

function serve(request) {
  if (request.url().startsWith(site) || request.url().startsWith("data:")) return request.continue();
  const file = CDN.exec(request.url());
  if (!file) return request.abort();
  return request.respond({ headers: { "Access-Control-Allow-Origin": "*" }, body: readFileSync(join(packages, file[1], file[2])) });
}

const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
for (const name of pages) {
  const page = await browser.newPage();
  await page.setRequestInterception(true);
  page.on("request", serve);
  const { lhr } = await navigation(page, `${site}/${name}.html`, { flags: { onlyCategories: ["performance"], formFactor: "mobile" } });
  const seconds = (id) => lhr.audits[id].numericValue / 1000;
  console.log(JSON.stringify({
    name,
    score: lhr.categories.performance.score,
    painted: seconds("first-contentful-paint"),
    largest: seconds("largest-contentful-paint"),
    blocked: seconds("total-blocking-time"),
    shift: lhr.audits["cumulative-layout-shift"].numericValue,
  }));
  await page.close();
}
await browser.close();
