// Lighthouse's performance of pages on a phone with slow 4G and a processor of a given speed: a line of JSON for each page,
// that of the visit with the middle score of three.
// Reads {browser, packages, site, pages, index} from the standard input. What the pages take from a CDN comes from `site`, compressed too.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { browser: executablePath, packages, site, pages, index } = JSON.parse(readFileSync(0));
const load = (path) => import(pathToFileURL(join(packages, path)));
const { default: puppeteer } = await load("puppeteer-core/lib/esm/puppeteer/puppeteer-core.js");
const { navigation } = await load("lighthouse/core/index.js");
const { throttling } = await load("lighthouse/core/config/constants.js");
const CDN = /^https:\/\/(?:cdn\.jsdelivr\.net\/npm|unpkg\.com)\/((?:@[\w.-]+\/)?[\w.-]+)@[\w.-]+\/([^?]*)/;

function serve(request) {
  if (request.url().startsWith(site) || request.url().startsWith("data:")) return request.continue();
  const file = CDN.exec(request.url());
  if (!file) return request.abort();
  return request.continue({ url: `${site}/_npm/${file[1]}/${file[2]}` });
}

const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });

async function visit(name, cpuSlowdownMultiplier) {
  const page = await browser.newPage();
  await page.setRequestInterception(true);
  page.on("request", serve);
  const slow = { ...throttling.mobileSlow4G, cpuSlowdownMultiplier };
  const flags = { onlyCategories: ["performance"], formFactor: "mobile", throttling: slow };
  const { lhr } = await navigation(page, `${site}/${name}.html`, { flags });
  await page.close();
  return lhr;
}

// By how much this machine is faster than the phone; its index is measured anew with each visit, and varies.
const own = (await visit(pages[0], 1)).environment.benchmarkIndex;
const slowdown = Math.max(1, own / index);
for (const name of pages) {
  const visits = [];
  for (let k = 0; k < 3; k += 1) visits.push(await visit(name, slowdown));
  const lhr = visits.sort((a, b) => a.categories.performance.score - b.categories.performance.score)[1];
  const seconds = (id) => lhr.audits[id].numericValue / 1000;
  console.log(JSON.stringify({
    name,
    slowdown,
    score: lhr.categories.performance.score,
    painted: seconds("first-contentful-paint"),
    largest: seconds("largest-contentful-paint"),
    blocked: seconds("total-blocking-time"),
    shift: lhr.audits["cumulative-layout-shift"].numericValue,
  }));
}
await browser.close();
