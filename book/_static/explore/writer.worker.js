// Reads a text for the page, letter by letter, and tells after each what the character model guesses next.
//
// What was read stays as keys and values. So an edited text costs only its letters from the edited one on, and a new
// letter costs one; another rule or step size has other keys and values, and costs the whole text.

import { fetchPack, probabilities, Writer } from "./networks.js";

let loading = null;
let current = 0; // the job that is wanted; an older one gives way
let read = []; // the letters that are in the cache

function load() {
  loading ??= fetchPack(new URL("writer.safetensors", import.meta.url)).then((pack) => new Writer(pack));
  loading.catch(() => (loading = null)); // the next job asks again
  return loading;
}

const pause = () => new Promise((resolve) => setTimeout(resolve)); // lets messages in: a newer job may wait

async function work({ job, text, rule, steps }) {
  const net = await load();
  if (job !== current) return;
  if (rule !== net.rule || steps !== net.steps) {
    net.solveWith(rule, steps);
    read = [];
  }
  const same = text.findIndex((letter, i) => letter !== read[i]);
  read.length = Math.min(read.length, same < 0 ? text.length : same);
  net.cache.begin(read.length);
  postMessage({ job, kept: read.length });
  while (read.length < text.length) {
    const until = performance.now() + 12;
    do {
      const shares = probabilities(net.read(text[read.length]));
      read.push(text[read.length]);
      postMessage({ job, place: read.length - 1, shares, evaluations: net.cache.slots.length, dim: net.dim });
    } while (read.length < text.length && performance.now() < until);
    await pause();
    if (job !== current) return;
  }
  postMessage({ job, finished: true });
}

onmessage = ({ data }) => {
  current = data.job;
  work(data).catch((error) => postMessage({ job: data.job, error: error.message }));
};
