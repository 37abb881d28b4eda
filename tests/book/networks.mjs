// Computes what test_networks.py asks for with the modules of the pages, and prints it: node networks.mjs FOLDER
import { readFileSync } from "node:fs";
import { Classifier, meanRow, probabilities, readPack, Writer } from "../../book/_static/explore/networks.js";

const [folder] = process.argv.slice(2);
const pack = (name) => {
  const { buffer, byteOffset, byteLength } = readFileSync(`${folder}/${name}.safetensors`);
  return readPack(buffer.slice(byteOffset, byteOffset + byteLength));
};
const tasks = JSON.parse(readFileSync(`${folder}/tasks.json`, "utf8"));
const packs = {};
const garments = pack("garments");

function classify({ kind, seed, rule, steps, images }) {
  packs[kind] ??= pack(kind);
  const net = new Classifier(packs[kind], seed);
  return images.map((image) => {
    const pixels = typeof image === "number" ? garments.weights.images.subarray(image * 784, (image + 1) * 784) : image;
    const path = [];
    const end = net.through(net.embed(pixels, garments.about), rule, steps, (x) => path.push([...meanRow(x, net.dim)]));
    return { logits: [...net.logits(end)], path, plane: [...net.project(end)] };
  });
}

function read({ kind, rule, steps, text, keep = text.length, then = [] }) {
  packs[kind] ??= pack(kind);
  const net = new Writer(packs[kind]);
  net.solveWith(rule, steps);
  const first = text.map((letter) => [...probabilities(net.read(letter))]);
  net.cache.begin(keep);
  return { first, later: then.map((letter) => [...probabilities(net.read(letter))]), slots: net.cache.slots.length };
}

process.stdout.write(JSON.stringify(tasks.map((task) => (task.text ? read(task) : classify(task)))));
