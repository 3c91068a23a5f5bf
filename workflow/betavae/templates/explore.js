"use strict";
const SIDE = 64;
const content = JSON.parse(document.getElementById("content").textContent);

// --- Numbers -----------------------------------------------------------------------------------

const bytes = (text) => {
  const raw = atob(text), found = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
  return found;
};

// The value of every half-precision number, by its bits.
const halves = () =>
  Float32Array.from({ length: 65536 }, (_, bits) => {
    const exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
    return bits & 32768 ? -size : size;
  });

const floats = (text) => {
  const raw = bytes(text);
  if (content.bytes === 4) return new Float32Array(raw.buffer);
  const value = halves(), packed = new Uint16Array(raw.buffer), found = new Float32Array(packed.length);
  for (let i = 0; i < packed.length; i++) found[i] = value[packed[i]];
  return found;
};

// The layers of a decoder: weight (inputs, outputs) and bias, views of one array.
const layersOf = ({ sizes, weights }) => {
  const numbers = floats(weights);
  let at = 0;
  const take = (count) => numbers.subarray(at, (at += count));
  return sizes.slice(1).map((outputs, i) => ({ weight: take(sizes[i] * outputs), bias: take(outputs) }));
};

const decoders = content.models.map(layersOf);

// The image, 4096 probabilities, that a model draws of its codes: tanh between the layers, a sigmoid at the end.
const decode = (model, codes) => {
  let input = codes;
  decoders[model].forEach(({ weight, bias }, number) => {
    const output = Float32Array.from(bias), width = output.length;
    for (let i = 0; i < input.length; i++) {
      const value = input[i], row = i * width;
      for (let j = 0; j < width; j++) output[j] += value * weight[row + j];
    }
    const last = number === decoders[model].length - 1;
    for (let j = 0; j < width; j++) output[j] = last ? 1 / (1 + Math.exp(-output[j])) : Math.tanh(output[j]);
    input = output;
  });
  return input;
};

// --- State: where the walk starts, and where each slider stands, in [-1, 1] ----------------------

let starts = content.models.map(({ sizes }) => new Array(sizes[0] ?? 0).fill(0));
const places = content.sliders.map(() => 0);

// The value of a latent: its start in the middle of the slider, the ends of the walk at the slider's.
const latentValue = (model, { latent, sign }, place) => {
  const [low, high] = content.models[model].ends, start = starts[model][latent], moved = sign * place;
  return moved < 0 ? start + moved * (start - Math.min(low, start)) : start + moved * (Math.max(high, start) - start);
};

const codesOf = (model) => {
  const codes = [...starts[model]];
  content.sliders.forEach(({ cells }, row) => {
    if (cells[model]) codes[cells[model].latent] = latentValue(model, cells[model], places[row]);
  });
  return codes;
};

// --- The page ------------------------------------------------------------------------------------

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

const canvas = (label) => {
  const element = make("canvas", { width: SIDE, height: SIDE, role: "img" });
  element.ariaLabel = label;
  return element;
};

const paint = (element, image) => {
  const context = element.getContext("2d"), picture = context.createImageData(SIDE, SIDE);
  for (let i = 0; i < SIDE * SIDE; i++) {
    picture.data.fill(Math.round(255 * (image?.[i] ?? 0.5)), 4 * i, 4 * i + 3);
    picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
};

const unpacked = (packed) => Array.from({ length: SIDE * SIDE }, (_, i) => (packed[i >> 3] >> (7 - (i & 7))) & 1);
const signed = (value) => value.toFixed(2).replace("-", "−");

const start = canvas("the image that the walk starts from");
const panels = content.models.map(({ title }) => canvas(`drawn by ${title}`));
document.getElementById("stage").append(
  make("figure", {}, make("figcaption", { className: "quiet", textContent: "start" }), start),
  ...content.models.map(({ title }, model) =>
    make("figure", {}, make("figcaption", { className: `model${model}`, textContent: title }), panels[model]),
  ),
);

const inputs = [], values = [];
const redraw = () => {
  panels.forEach((panel, model) => paint(panel, decoders[model].length ? decode(model, codesOf(model)) : null));
  values.forEach((show) => show());
};

let asked = false;
const redrawSoon = () => {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    redraw();
  });
};

const reset = () => {
  places.fill(0);
  inputs.forEach((input) => (input.value = 0));
  redraw();
};

const drawCell = (cell, model, row) => {
  const name = content.models[model].title.split(",")[0];
  if (!cell) return make("div", { className: "cell quiet", textContent: `${name}: no latent` });
  const value = make("b"), most = Math.max(...cell.shares);
  values.push(() => (value.textContent = signed(latentValue(model, cell, places[row]))));
  const bar = make("div", { className: "bar" });
  content.factors.forEach((factor, i) => {
    const part = make("span", { title: `${factor} ${Math.round(100 * cell.shares[i])} %` });
    part.style.cssText = `width: ${100 * cell.shares[i]}%; background: var(--${factor})`;
    bar.append(part);
  });
  const said = `${Math.round(100 * most)} %${cell.mixed ? ", mixed" : ""} · KL ${cell.kl.toFixed(2)} nats`;
  return make(
    "div",
    { className: "cell" },
    make("span", { className: `model${model}` }, `z${cell.latent} = `, value),
    bar,
    make("span", { className: "quiet", textContent: said }),
  );
};

const silent = document.getElementById("silent");
content.sliders.forEach(({ factor, cells }, row) => {
  const input = make("input", { type: "range", min: -1, max: 1, step: 0.02, value: 0, id: `slider${row}` });
  input.addEventListener("input", () => {
    places[row] = input.valueAsNumber;
    redrawSoon();
  });
  inputs.push(input);
  const label = make("label", { htmlFor: input.id, textContent: factor ?? "silent" });
  const about = make("div", { className: "cells" }, ...cells.map((cell, model) => drawCell(cell, model, row)));
  (factor ? document.getElementById("sliders") : silent).append(
    make("div", { className: "slider" }, label, input, about),
  );
});
const silences = content.sliders.filter(({ factor }) => !factor).length;
silent.hidden = silences === 0;
silent.querySelector("summary").textContent =
  `${silences} more: latents that say next to nothing (KL up to 0.1 nats) and should change nothing`;

document.getElementById("legend").append(
  "A latent's variance is explained by",
  ...[...content.factors, "none alone"].map((factor, i) => {
    const word = make("span", { textContent: factor });
    word.style.setProperty("--colour", `var(--${i < content.factors.length ? factor : "none"})`);
    return word;
  }),
);

// --- Where to start from -------------------------------------------------------------------------

const choices = document.getElementById("examples");
const choose = (button, codes, image) => {
  starts = codes;
  for (const other of choices.children) other.ariaPressed = String(other === button);
  paint(start, image);
  reset();
};

const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
const choice = (properties, child, codes, image) => {
  const button = make("button", { type: "button", ...properties }, child);
  button.addEventListener("click", () => choose(button, codes(), image));
  choices.append(button);
  return button;
};

content.examples.forEach(({ image, codes }, number) => {
  const pixels = unpacked(bytes(image)), thumb = canvas(`example ${number + 1}`);
  paint(thumb, pixels);
  choice({}, thumb, () => codes, pixels);
});
choice({}, "all latents at 0", () => starts.map((codes) => codes.map(() => 0)), null);
choice({ title: "codes drawn at random, the same numbers for both" }, "a sample of the prior", () => {
  const drawn = Array.from({ length: Math.max(...starts.map((codes) => codes.length)) }, normal);
  return starts.map((codes) => drawn.slice(0, codes.length));
}, null);

document.getElementById("reset").addEventListener("click", reset);
choices.firstElementChild.click();
