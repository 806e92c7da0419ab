"use strict";
const test = JSON.parse(document.getElementById("test").textContent);
const STORE = "listening-test:" + test.id;
const $ = (id) => document.getElementById(id);
const QUESTIONS = {
  rate: {
    rhythm: ["How well does the rhythm of the music match the dance?", ["1 not at all", "2", "3", "4", "5 perfectly"]],
    quality: ["How good is the music and its sound?", ["1 bad", "2", "3", "4", "5 excellent"]],
  },
  compare: {
    rhythm: ["Which music matches the dance better?", ["A", "B"]],
    quality: ["Which is better music?", ["A", "B"]],
  },
};

// ---- what is kept: everything, after every answer ----
let state = null;
function load() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE));
    return kept && Array.isArray(kept.order) && kept.answers ? kept : null;
  } catch { return null; }
}
function save() {
  try { localStorage.setItem(STORE, JSON.stringify(state)); }
  catch { warn("This browser keeps nothing: do not close the page before you have downloaded your answers."); }
}
function warn(text) { $("warning").textContent = text; $("warning").hidden = false; }

// ---- the order: every listener's own ----
function random(seed) { // mulberry32
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
function shuffle(items, draw) {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(draw() * (i + 1));
    [items[i], items[j]] = [items[j], items[i]];
  }
  return items;
}
function apart(trials) { // the same dance not twice in a row, as far as that can be had
  const left = trials.slice(), result = [];
  while (left.length) {
    const last = result.length ? result[result.length - 1].dance : null;
    const found = left.findIndex((trial) => trial.dance !== last);
    result.push(...left.splice(Math.max(found, 0), 1));
  }
  return result;
}
function begin() {
  const numbers = crypto.getRandomValues(new Uint32Array(3));
  const draw = random(numbers[0]);
  const rate = test.rate.map(([token, dance]) => ({ kind: "rate", id: token, shown: [token], dance }));
  const compare = test.compare.map(([id, pair, dance]) => ({ kind: "compare", id, shown: shuffle(pair.slice(), draw), dance }));
  state = {
    listener: numbers[1].toString(16).padStart(8, "0") + numbers[2].toString(16).padStart(8, "0"),
    device: $("device").value, started: new Date().toISOString(), finished: null, comment: "",
    order: [...apart(shuffle(rate, draw)), ...apart(shuffle(compare, draw))], answers: {}, at: 0,
  };
  save();
}

// ---- one trial ----
let videos = [], plays = [], heard = [], given = {}, current = 0, since = 0;
const names = () => Object.keys(QUESTIONS[state.order[state.at].kind]);

function show() {
  $("intro").hidden = true;
  $("trial").hidden = state.at >= state.order.length;
  $("end").hidden = state.at < state.order.length;
  if (state.at >= state.order.length) return finish();
  const trial = state.order[state.at];
  $("heading").textContent = (trial.kind === "rate" ? "Dance " : "Comparison ") + (state.at + 1) + " of " + state.order.length;
  $("progress").value = state.at / state.order.length;
  $("videos").replaceChildren(...trial.shown.map((token, place) => player(token, trial.kind === "rate" ? "" : "AB"[place], place)));
  videos = [...$("videos").querySelectorAll("video")];
  plays = videos.map(() => 0); heard = videos.map(() => false); given = {}; current = 0; since = performance.now();
  $("questions").replaceChildren(...names().map((name, number) => question(trial.kind, name, number)));
  mark(); check();
  $("heading").focus();
}
function player(token, label, place) {
  const figure = document.createElement("figure"), video = document.createElement("video");
  const caption = document.createElement("figcaption"), button = document.createElement("button");
  video.src = STIMULI + "/" + token + ".mp4"; video.preload = "auto"; video.playsInline = true;
  button.type = "button"; button.textContent = "Play" + (label && " " + label); button.dataset.place = place;
  button.addEventListener("click", () => toggle(place));
  video.addEventListener("click", () => toggle(place));
  video.addEventListener("play", () => { figure.classList.add("playing"); button.textContent = "Pause" + (label && " " + label); });
  video.addEventListener("pause", () => { figure.classList.remove("playing"); button.textContent = "Play" + (label && " " + label); });
  video.addEventListener("ended", () => { heard[place] = true; check(); });
  video.addEventListener("error", () => warn("A video cannot be played here. Please try another browser, or tell whoever invited you."));
  caption.append(button); figure.append(video, caption);
  return figure;
}
function toggle(place) {
  const video = videos[place];
  if (!video.paused) return video.pause();
  videos.forEach((other) => other.pause());
  if (video.currentTime === 0 || video.ended) plays[place] += 1;
  video.play();
}
function question(kind, name, number) {
  const [text, choices] = QUESTIONS[kind][name];
  const box = document.createElement("fieldset"), legend = document.createElement("legend");
  box.dataset.name = name; legend.textContent = text; box.append(legend);
  choices.forEach((choice, index) => {
    const label = document.createElement("label"), input = document.createElement("input");
    input.type = "radio"; input.name = name; input.value = index + 1;
    input.addEventListener("change", () => answer(number, index + 1));
    label.append(input, " " + choice); box.append(label);
  });
  box.addEventListener("focusin", () => { current = number; mark(); });
  return box;
}
function answer(number, value) {
  const name = names()[number], kind = state.order[state.at].kind;
  if (value > QUESTIONS[kind][name][1].length) return;
  given[name] = value;
  document.querySelector(`input[name="${name}"][value="${value}"]`).checked = true;
  const open = names().findIndex((other) => !(other in given));
  current = open < 0 ? number : open;
  mark(); check();
}
function mark() {
  [...$("questions").children].forEach((box, number) => box.classList.toggle("current", number === current));
}
function check() {
  const unheard = heard.indexOf(false), done = names().every((name) => name in given);
  $("next").disabled = unheard >= 0 || !done;
  $("hint").textContent = unheard >= 0 ? (heard.length > 1 ? "Play both to their ends." : "Play it to its end.") : done ? "" : "Answer both questions; you may play it again.";
}
function next() {
  if ($("next").disabled) return;
  const trial = state.order[state.at];
  const answers = Object.fromEntries(names().map((name) => [name, trial.kind === "rate" ? given[name] : trial.shown[given[name] - 1]]));
  state.answers[trial.id] = { trial: trial.id, kind: trial.kind, shown: trial.shown, ...answers, plays, seconds: Math.round((performance.now() - since) / 100) / 10 };
  state.at += 1;
  videos.forEach((video) => video.pause());
  save(); show();
}

// ---- the end ----
function finish() {
  if (!state.finished) { state.finished = new Date().toISOString(); save(); }
  $("comment").value = state.comment;
  $("file").textContent = fileName();
  $("thanks").focus();
}
const fileName = () => "answers-" + test.id + "-" + state.listener + ".json";
function download() {
  const { order, at, answers, downloaded, ...about } = state;
  const content = { schema: 1, test: test.id, ...about, answers: order.filter((trial) => trial.id in answers).map((trial) => answers[trial.id]) };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
  link.download = fileName();
  document.body.append(link); link.click(); link.remove();
  state.downloaded = true; save();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// ---- keys ----
document.addEventListener("keydown", (event) => {
  if ($("trial").hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const onButton = event.target instanceof HTMLButtonElement;
  const key = event.key.toLowerCase(), comparing = videos.length > 1;
  if (/^[1-5]$/.test(key)) answer(current, Number(key));
  else if (comparing && (key === "a" || key === "b")) toggle("ab".indexOf(key));
  else if (key === " " && !onButton) toggle(Math.max(videos.findIndex((video) => !video.paused), comparing ? heard.indexOf(false) : 0, 0));
  else if (key === "enter" && !onButton) next();
  else if (key === "arrowdown" || key === "arrowup") {
    current = Math.min(Math.max(current + (key === "arrowdown" ? 1 : -1), 0), names().length - 1);
    mark();
  } else return;
  event.preventDefault();
});

$("start").addEventListener("click", () => { begin(); show(); });
$("next").addEventListener("click", next);
$("download").addEventListener("click", download);
$("comment").addEventListener("input", () => { state.comment = $("comment").value; save(); });
$("again").addEventListener("click", () => {
  if (!state.downloaded && !confirm("The answers have not been downloaded and will be lost. Go on?")) return;
  try { localStorage.removeItem(STORE); } catch { /* nothing was kept */ }
  location.reload();
});
$("minutes").textContent = Math.max(1, Math.round((test.rate.length * (test.seconds + 8) + test.compare.length * (2 * test.seconds + 8)) / 60));
state = load();
if (state) show();
