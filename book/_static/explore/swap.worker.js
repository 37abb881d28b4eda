// Answers and paths of the kept classifiers, computed beside the page, so that the page can be used meanwhile.

import { Classifier, fetchPack, probabilities } from "./networks.js";

const fetched = new Map(); // by name: the promise of a pack
const results = new Map(); // what was computed, or begun
let shown = false; // whether the page has the garments
let current = 0; // the job that is wanted; an older one gives way

function load(name) {
  if (!fetched.has(name)) {
    const pack = fetchPack(new URL(`${name}.safetensors`, import.meta.url));
    fetched.set(name, pack);
    pack.catch(() => fetched.delete(name)); // the next job asks again
  }
  return fetched.get(name);
}

/** Lets messages in: a newer job may wait. */
const pause = () => new Promise((resolve) => setTimeout(resolve));

/** What one network makes of all garments by one rule; `done` garments of it are computed. */
function begun(pack, count, task) {
  const key = `${task.kind} ${task.seed} ${task.rule} ${task.steps}`;
  if (!results.has(key)) {
    const points = pack.about.intervals * task.steps + 1;
    results.set(key, {
      ...task,
      key,
      done: 0,
      points,
      answers: new Uint8Array(count),
      sure: new Float32Array(count), // the probability of the answer
      paths: new Float32Array(count * points * 2),
    });
  }
  return results.get(key);
}

function solveOne(net, garments, result) {
  const { rule, steps, points, paths, done } = result;
  const pixels = garments.weights.images.subarray(done * 784, (done + 1) * 784);
  let to = done * points * 2;
  const end = net.through(net.embed(pixels, garments.about), rule, steps, (x) => {
    paths.set(net.project(x), to);
    to += 2;
  });
  const shares = probabilities(net.logits(end));
  result.answers[done] = shares.indexOf(Math.max(...shares));
  result.sure[done] = shares[result.answers[done]];
  result.done++;
}

async function work({ job, tasks }) {
  const garments = await load("garments");
  const count = garments.weights.labels.length;
  if (!shown) postMessage({ garments: { ...garments.weights, ...garments.about } });
  shown = true;
  let told = 0;
  for (const [place, task] of tasks.entries()) {
    const pack = await load(task.kind);
    const net = new Classifier(pack, task.seed);
    const result = begun(pack, count, task);
    while (result.done < count) {
      await pause();
      if (job !== current) return;
      const until = performance.now() + 12;
      while (result.done < count && performance.now() < until) solveOne(net, garments, result);
      if (place === 0 && performance.now() - told > 200) {
        told = performance.now();
        postMessage({ result });
      }
    }
    postMessage({ result });
  }
  postMessage({ finished: job });
}

onmessage = ({ data }) => {
  current = data.job;
  work(data).catch((error) => postMessage({ error: error.message }));
};
