// Draws the report. Text from the guest only ever becomes textContent; nothing is fetched.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const PALETTE = 8, TOP = 40, NOTES = 42, BAR = 16, LOCK = 5, MARGIN = 8;
const STOPS = new Set(["placed", "interrupt", "return", "switch", "sleep", "wake", "start", "end", "spin", "serial", "tick"]);
const WORDS = { placed: "preempt", interrupt: "interrupt", return: "return", switch: "switch", sleep: "sleep", wake: "wake",
  start: "new", end: "end", lock: "lock", unlock: "unlock", spin: "spin", serial: "serial", tick: "free tick" };

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
function svg(name, attributes = {}, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
const number = (n) => n.toLocaleString("en-US");
const colour = (lane) => lane === 0 ? "var(--handler)" : `var(--t${(lane - 1) % PALETTE})`;

// ---- a run, made ready ---------------------------------------------------------------------------------------------
// Registers come as changes from step to step; a full set is kept every 256 steps.
const KEEP = 256;
function prepare(run) {
  run.kept = [];
  let now = run.registers.map(() => "0");
  run.values.forEach((changes, at) => {
    for (let n = 0; n < changes.length; n += 2) now[changes[n]] = changes[n + 1];
    if (at % KEEP === 0) run.kept.push(now.slice());
  });
  run.rip = run.registers.indexOf("rip");
  run.inLane = run.lanes.map(() => []);
  for (const span of run.spans) run.inLane[span[0]].push(span);
  return run;
}
function registersAt(run, step) {
  const at = step - run.first, from = Math.floor(at / KEEP);
  const now = run.kept[from].slice();
  for (let n = from * KEEP + 1; n <= at; n++)
    for (let m = 0; m < run.values[n].length; m += 2) now[run.values[n][m]] = run.values[n][m + 1];
  return now;
}
function spanAt(spans, step) {
  let low = 0, high = spans.length;
  while (low < high) { const mid = low + high >> 1; if (spans[mid][2] <= step) low = mid + 1; else high = mid; }
  const found = spans[low];
  return found && found[1] <= step ? found : null;
}
const stretchAt = (run, step) => {
  let low = 0, high = run.stretches.length - 1;
  while (low < high) { const mid = low + high >> 1; if (run.stretches[mid][1] <= step) low = mid + 1; else high = mid; }
  return run.stretches[low];
};
const runs = data.runs.map(prepare);
const first = Math.min(...runs.map((run) => run.first)), last = Math.max(...runs.map((run) => run.end));
const view = { zoom: 1, step: first, run: 0, locks: false };
const clamp = (run, step) => Math.max(run.first, Math.min(run.end, step));

// ---- the head --------------------------------------------------------------------------------------------------------
const words = (line) => line.split("`").map((piece, n) => n % 2 ? el("code", {}, piece) : piece);  // `like this`
function copy(node, button) {
  getSelection().selectAllChildren(node);  // for a browser that lets no page write to the clipboard
  (navigator.clipboard ? navigator.clipboard.writeText(node.textContent) : Promise.reject()).then(
    () => { button.textContent = "Copied"; }, () => { button.textContent = "Selected"; });
}
function head() {
  document.title = data.title;
  $("title").textContent = data.name;
  $("verdict").textContent = data.verdict;
  $("verdict").classList.add(data.verdictClass);
  $("message").textContent = data.message;
  for (const [name, lines] of data.facts)
    $("facts").append(el("dt", {}, name), el("dd", {}, ...lines.map((line) => el("p", {}, ...words(line)))));
  if (data.replay) {
    const command = [...document.querySelectorAll("#facts code")].find((each) => each.textContent === data.replay);
    const button = el("button", { type: "button", id: "copy" }, "Copy");
    button.onclick = () => copy(command, button);
    command.after(button);
  }
  if (!data.facts.length) $("facts").remove();
  $("foot").textContent = data.foot;
}

// ---- the chart -------------------------------------------------------------------------------------------------------
let scale = 1;
const x = (step) => MARGIN + (step - first) * scale;
function depths(run, lane) {  // locks of a lane, each in the first row that is free
  const ends = [];
  return run.locks.filter((held) => held[0] === lane).map((held) => {
    const end = held[3] === null ? run.end + 1 : held[3];
    let row = ends.findIndex((before) => before <= held[2]);
    if (row < 0) row = ends.length;
    ends[row] = end;
    return [held, end, row];
  });
}
function layout(run) {
  let y = TOP;
  run.tops = run.lanes.map((_, lane) => {
    const locks = run.held[lane], rows = locks.reduce((most, [, , row]) => Math.max(most, row + 1), 0);
    const top = y;
    y += BAR + 12 + rows * LOCK;
    return top;
  });
  run.height = y + 4 + (data.parting !== null || data.noReturn !== null || data.difference !== null ? NOTES : 0);
}
const middle = (run, lane) => run.tops[lane] + BAR / 2;
function patterns(id) {
  const defs = svg("defs");
  const hatch = svg("pattern", { id: `${id}-hatch`, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  hatch.append(svg("rect", { width: 1.4, height: 6, fill: "var(--line)" }));
  const arrow = svg("marker", { id: `${id}-arrow`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" });
  arrow.append(svg("path", { d: "M0 0 8 4 0 8Z", fill: "var(--good)" }));
  defs.append(hatch, arrow);
  return defs;
}
function axis(run, width) {
  const group = svg("g", { class: "axis" });
  const wanted = 90 / scale, power = 10 ** Math.floor(Math.log10(wanted));
  const every = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= wanted) || 1;
  for (let step = Math.ceil(first / every) * every; step <= last; step += Math.max(1, every)) {
    group.append(svg("line", { x1: x(step), x2: x(step), y1: 30, y2: run.height, stroke: "var(--line)", "stroke-width": .5 }));
    if (x(step) < width - 24) group.append(svg("text", { x: x(step) + 3, y: 27 }, number(step)));
  }
  return group;
}
function shade(run) {
  const group = svg("g", {});
  const box = (from, end, name, label) => {
    const real = x(end) - x(from), width = Math.max(7, real), left = x(from) - (width - real) / 2;
    group.append(svg("rect", { class: name, x: left, y: 16, width, height: run.height - 16, fill: "var(--shade)", "data-first": from,
      "data-end": end, "aria-label": label }));
    for (const edge of [left, left + width]) group.append(svg("line", { x1: edge, x2: edge, y1: 16, y2: run.height, stroke: "var(--shade-line)", "stroke-width": 1 }));
  };
  if (data.window) box(data.window.first, data.window.end, "window", `the window: steps ${data.window.first} to ${data.window.end - 1}`);
  const line = (step, name, label, dash, up) => {
    group.append(svg("line", { class: name, x1: x(step), x2: x(step), y1: 16, y2: run.height, stroke: "var(--bad)", "stroke-width": 1.5,
      "stroke-dasharray": dash, "data-step": step, "aria-label": label }));
    const right = x(step) > x(last) - 170;
    group.append(svg("text", { x: x(step) + (right ? -4 : 4), y: run.height - up, "text-anchor": right ? "end" : "start",
      style: "fill: var(--bad)" }, label));
  };
  if (data.noReturn !== null && run.id === "failing") line(data.noReturn, "no-return", "point of no return", "5 3", 4);
  if (data.difference !== null && run.id === "failing") line(data.difference, "difference", "first other value", "2 2", 28);
  if (data.parting !== null) line(data.parting, "parting", "the runs part", "1 3", 16);
  return group;
}
function bars(run) {
  const group = svg("g", {});
  for (const [lane, from, end, kind, text] of run.spans) {
    const top = run.tops[lane], width = Math.max(1, (end - from) * scale);
    const at = { x: x(from), width, "data-kind": kind };
    if (kind === "running" || kind === "handler") {
      group.append(svg("rect", { ...at, y: top, height: BAR, rx: Math.min(3, width / 3), fill: colour(lane) }));
      if (kind === "running" && text && text !== "running")
        group.append(svg("rect", { ...at, "data-kind": "as " + text, y: top + BAR - 4, height: 4, fill: "var(--card)", opacity: .55 }));
    } else if (kind === "interrupted") {
      group.append(svg("rect", { ...at, y: top + 3, height: BAR - 6, fill: colour(lane), opacity: .32 }));
    } else if (kind === "ready") {
      group.append(svg("rect", { ...at, y: top + BAR / 2 - 2, height: 4, fill: colour(lane), opacity: .55 }));
    } else if (kind === "blocked") {
      group.append(svg("rect", { ...at, y: top, height: BAR, fill: `url(#${run.id}-hatch)` }));
    } else {
      group.append(svg("line", { x1: x(from), x2: x(end), y1: top + BAR / 2, y2: top + BAR / 2, stroke: "var(--line)", "stroke-dasharray": "2 4" }));
    }
  }
  run.lanes.forEach((_, lane) => run.held[lane].forEach(([held, end, row]) => {
    const y = run.tops[lane] + BAR + 2 + row * LOCK;
    group.append(svg("rect", { class: "held", x: x(held[2]), width: Math.max(1.5, (end - held[2]) * scale), y, height: 3, rx: 1.5,
      fill: held[4] ? "var(--handler)" : "var(--doubt)", "aria-label": held[1] }));
  }));
  return group;
}
function marks(run) {
  const group = svg("g", {});
  for (const [at, kind, lane, text, other] of run.events) {
    const where = x(at + 1);
    if (kind === "switch" && other >= 0)
      group.append(svg("line", { class: "switch", x1: where, x2: where, y1: middle(run, lane), y2: middle(run, other), stroke: "var(--soft)", "stroke-width": 1.2 }));
    else if (kind === "wake" && other >= 0) {
      const down = run.tops[other] > run.tops[lane];
      group.append(svg("line", { class: "wake", x1: where, x2: where, y1: middle(run, lane), y2: run.tops[other] + (down ? 1 : BAR - 1),
        stroke: "var(--good)", "stroke-width": 1.8, "marker-end": `url(#${run.id}-arrow)` }));
    } else if (kind === "sleep")
      group.append(svg("circle", { class: "sleep", cx: where, cy: middle(run, lane), r: 4.5, fill: "var(--card)", stroke: colour(lane), "stroke-width": 2 }));
    else if (kind === "interrupt")
      group.append(svg("path", { class: "interrupt", d: `M${x(at) - 4} ${run.tops[0] - 5}h8l-4 7z`, fill: "var(--handler)" }));
    else if (kind === "tick")
      group.append(svg("line", { class: "tick", x1: where, x2: where, y1: run.tops[lane] - 2, y2: run.tops[lane] + BAR + 2, stroke: "var(--soft)", "stroke-width": 1, "stroke-dasharray": "2 2" }));
    else if (kind === "spin")
      group.append(svg("circle", { class: "spin", cx: where, cy: middle(run, lane), r: 4, fill: "var(--bad)" }));
    else if (kind === "serial")
      group.append(svg("rect", { class: "serial", x: where - 1, y: run.tops[lane] - 4, width: 2, height: 4, fill: "var(--accent)" }));
    if (kind === "placed") {
      group.append(svg("path", { class: "placed", d: `M${x(at) - 7} 1h14l-7 13z`, fill: "var(--bad)" }));
      group.append(svg("line", { x1: x(at), x2: x(at), y1: 12, y2: run.height, stroke: "var(--bad)", "stroke-width": 1.2 }));
      group.append(svg("text", { x: x(at) + 11, y: 12, style: "fill: var(--bad); font-weight: 700" }, text));
    }
  }
  return group;
}
function summary(run) {
  const count = (kind) => run.events.filter((event) => event[1] === kind).length;
  const plural = (n, one, many) => `${number(n)} ${n === 1 ? one : many}`;
  return [plural(count("switch"), "switch", "switches"), plural(count("interrupt"), "interrupt", "interrupts"),
    plural(count("sleep"), "sleep", "sleeps"), plural(count("wake"), "wake", "wakes"), plural(run.locks.length, "lock held", "locks held")].join(" · ");
}
function draw() {
  const chart = $("chart"), space = Math.max(320, chart.clientWidth - 134 - 2 * MARGIN);
  scale = space / (last + 1 - first) * view.zoom;
  const width = Math.ceil((last + 1 - first) * scale + 2 * MARGIN);
  chart.replaceChildren(...runs.map((run, n) => {
    const picture = svg("svg", { width, height: run.height, role: "img",
      "aria-label": `${run.label}: ${run.lanes.length} lanes, ${number(run.steps)} steps, ${summary(run)}` });
    picture.append(patterns(run.id), axis(run, width), shade(run), bars(run), marks(run));
    run.line = svg("line", { class: "at", y1: 16, y2: run.height, stroke: "var(--ink)", "stroke-width": 1.5 });
    run.hair = svg("line", { class: "hair", y1: 16, y2: run.height, stroke: "var(--soft)", "stroke-width": 1, visibility: "hidden" });
    picture.append(run.hair, run.line);
    picture.addEventListener("pointermove", (event) => hover(run, picture, event));
    picture.addEventListener("pointerleave", leave);
    picture.addEventListener("click", (event) => { view.run = n; go(stepOf(picture, event)); });
    run.names = run.lanes.map((name, lane) => el("li", { style: `height: ${(run.tops[lane + 1] || run.tops[lane] + BAR + 12) - run.tops[lane]}px; color: ${colour(lane)}` }, name));
    const dot = el("span", { class: run.good ? "dot good" : "dot", "aria-hidden": "true" });
    run.box = el("div", { class: "run", id: `run-${run.id}` },
      el("div", { class: "caption" }, el("b", {}, dot, run.label), el("span", {}, run.outcome), el("span", { class: "counts" }, summary(run) + run.cut)),
      el("div", { class: "body" }, el("ul", { class: "labels", "aria-label": `Lanes of the ${run.label.toLowerCase()}` }, ...run.names), picture));
    return run.box;
  }));
}
const stepOf = (picture, event) => Math.floor((event.clientX - picture.getBoundingClientRect().left - MARGIN) / scale) + first;
function hover(run, picture, event) {
  const step = stepOf(picture, event);
  if (step < run.first || step > run.end) { leave(); return; }
  for (const each of runs) { each.hair.setAttribute("x1", x(step)); each.hair.setAttribute("x2", x(step)); each.hair.setAttribute("visibility", "visible"); }
  const close = Math.max(1, Math.round(5 / scale));
  const near = run.events.filter((each) => Math.abs(each[0] - step) <= close && (STOPS.has(each[1]) || view.locks)).slice(0, 5);
  const tip = $("tip");
  tip.textContent = [`step ${number(step)} · ${who(run, step)}`, placeText(run, step), ...near.map((each) => `${WORDS[each[1]]}: ${each[3]}`)].join("\n");
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 8)}px`;
  tip.style.top = `${Math.min(event.clientY + 18, innerHeight - box.height - 8)}px`;
}
function leave() { $("tip").hidden = true; for (const run of runs) run.hair.setAttribute("visibility", "hidden"); }

// ---- the cursor ------------------------------------------------------------------------------------------------------
function who(run, step) {
  const handler = spanAt(run.inLane[0], step);
  if (handler) return handler[4];
  const lane = run.lanes.findIndex((_, n) => n > 0 && (spanAt(run.inLane[n], step) || [])[3] === "running");
  return lane < 0 ? "" : run.lanes[lane];
}
function placeText(run, step) {
  const [, , , symbol, file, line] = stretchAt(run, step);
  return (run.symbols[symbol] || "?") + (line ? ` (${data.files[file]}:${line})` : "");
}
function panel(run, n) {
  const step = clamp(run, view.step), now = registersAt(run, step), code = run.codes[now[run.rip]] || [0, 0, "?"];
  const [, , , symbol, file, line] = stretchAt(run, step);
  const other = runs.length > 1 ? registersAt(runs[1 - n], clamp(runs[1 - n], view.step)) : now;
  const changed = new Set(step > run.first ? run.values[step - run.first].filter((_, m) => m % 2 === 0) : []);
  const here = run.events.filter((event) => event[0] === step);
  const box = el("article", { class: n === view.run ? "panel active" : "panel", id: `panel-${run.id}`, "aria-label": `${run.label} at step ${step}` });
  box.append(el("div", { class: "head" }, run.label, el("span", {}, `step ${number(step)} · ${who(run, step)}`)));
  const offset = code[1] ? `+0x${code[1].toString(16)}` : "";
  box.append(el("p", { class: "place" }, el("code", {}, `${run.symbols[symbol] || "0x" + now[run.rip]}${offset}`), line ? ` · ${data.files[file]}:${line}` : ""));
  box.append(el("p", { class: "next" }, step === run.end && run.ended ? run.ended : code[2]));
  if (here.length) box.append(el("ul", { class: "now-events" }, ...here.map((event) => el("li", {}, `${WORDS[event[1]]}: ${event[3]}`))));
  const source = data.sources[data.files[file]];
  if (source && line) {
    const lines = [];
    for (let at = line - 4; at <= line + 4; at++)
      if (source[at] !== undefined) lines.push(el("span", at === line ? { class: "now" } : {}, el("i", {}, String(at)), source[at] || " "));
    box.append(el("pre", { class: "source", "aria-label": `Source around ${data.files[file]}:${line}` }, ...lines));
  }
  box.append(el("h3", {}, "Threads"), threads(run, step));
  box.append(el("h3", {}, "Registers"), el("dl", { class: "registers" }, ...run.registers.map((name, at) =>
    el("div", { class: [changed.has(at) ? "new" : "", now[at] !== other[at] ? "other" : ""].join(" ").trim() },
      el("dt", {}, name), el("dd", {}, now[at].padStart(16, "0"))))));
  return box;
}
function threads(run, step) {
  const rows = run.lanes.map((name, lane) => {
    const span = lane ? spanAt(run.inLane[lane], step) : null;
    if (!span) return null;
    let [, , , kind, text] = span;
    if (kind === "running" && text && text !== "running") kind = `running, though ${text}`;
    if (kind === "blocked") {
      const slept = run.events.filter((event) => event[1] === "sleep" && event[2] === lane && event[0] <= step).pop();
      if (slept) kind = slept[3].replace(`${name} `, "");
    }
    const locks = run.locks.filter((held) => held[0] === lane && held[2] < step && (held[3] === null || held[3] > step)).map((held) => held[1]);
    return el("tr", who(run, step) === name ? { class: "here" } : {}, el("th", { scope: "row", style: `color: ${colour(lane)}` }, name), el("td", {}, kind),
      el("td", {}, locks.length ? `holds ${locks.join(", ")}` : ""));
  });
  return el("table", {}, el("tbody", {}, ...rows.filter((row) => row)));
}
function show(scroll = true) {
  const run = runs[view.run], step = clamp(run, view.step);
  runs.forEach((each, n) => {
    each.line.setAttribute("x1", x(clamp(each, view.step)));
    each.line.setAttribute("x2", x(clamp(each, view.step)));
    each.line.setAttribute("stroke-width", n === view.run ? 2 : 1);
    each.box.classList.toggle("active", n === view.run);
    const name = who(each, clamp(each, view.step));
    each.names.forEach((item, lane) => item.classList.toggle("here", item.textContent === name || (lane === 0 && name.includes(" in "))));
  });
  $("panels").replaceChildren(...runs.map(panel));
  $("cursor").replaceChildren(el("b", {}, `Step ${number(step)}`), ` of ${number(run.steps)} · ${run.label} · ${who(run, step)} · ${placeText(run, step)}`);
  runs.forEach((each, n) => each.items.forEach((item) => {
    const now = n === view.run && Number(item.dataset.at) === step;
    item.setAttribute("aria-current", String(now));
    if (now) item.parentElement.parentElement.scrollTop = item.offsetTop - item.parentElement.parentElement.offsetTop - 120;
  }));
  const chart = $("chart"), place = x(step) + 134;
  if (scroll && (place < chart.scrollLeft + 180 || place > chart.scrollLeft + chart.clientWidth - 60)) chart.scrollLeft = place - chart.clientWidth / 2;
  history.replaceState(null, "", `#step=${step}&run=${run.id}`);
}
function go(step) { view.step = clamp(runs[view.run], step); show(); }
function event(direction) {
  const run = runs[view.run];
  const stops = run.events.filter((each) => STOPS.has(each[1]) || view.locks).map((each) => each[0]);
  const found = direction > 0 ? stops.find((at) => at > view.step) : stops.filter((at) => at < view.step).pop();
  if (found !== undefined) go(found);
}
function zoom(factor) { view.zoom = factor === 0 ? 1 : Math.max(1, Math.min(view.zoom * factor, (last + 1 - first) / 20)); draw(); show(); }
function zoomTo(from, end) {
  view.zoom = Math.max(1, (last + 1 - first) / Math.max(40, (end - from) * 3));
  draw();
  show(false);
  $("chart").scrollLeft = x((from + end) / 2) + 134 - $("chart").clientWidth / 2;
}
function zoomWindow() {
  const placed = runs[0].events.find((each) => each[1] === "placed");
  if (data.window) zoomTo(data.window.first, data.window.end);
  else if (placed) zoomTo(placed[0] - 20, placed[0] + 20);
}
function preemption() {
  const placed = runs[0].events.filter((each) => each[1] === "placed").map((each) => each[0]);
  view.run = 0;
  if (placed.length) go(placed.find((at) => at > view.step) ?? placed[0]);
}
// A run that spins at its end is drawn up to where things happen; the rest lies to the right.
const interesting = () => Math.max(...runs.map((run) => Math.max(run.good ? run.end : run.first, ...run.events.map((each) => each[0]))));
const otherRun = (direction) => { view.run = Math.max(0, Math.min(runs.length - 1, view.run + direction)); show(); };
const KEYS = {
  ArrowRight: (shift) => go(view.step + (shift ? 10 : 1)), ArrowLeft: (shift) => go(view.step - (shift ? 10 : 1)),
  j: () => go(view.step + 1), k: () => go(view.step - 1), J: () => go(view.step + 10), K: () => go(view.step - 10),
  Home: () => go(runs[view.run].first), End: () => go(runs[view.run].end), n: () => event(1), p: () => event(-1),
  ArrowDown: () => otherRun(1), ArrowUp: () => otherRun(-1), x: preemption,
  "+": () => zoom(1.6), "=": () => zoom(1.6), "-": () => zoom(1 / 1.6), 0: () => zoom(0), w: zoomWindow,
};
document.addEventListener("keydown", (pressed) => {
  const act = KEYS[pressed.key];
  if (!act || pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
  pressed.preventDefault();
  act(pressed.shiftKey);
});
function fromHash() {
  const wanted = new URLSearchParams(location.hash.slice(1)), run = runs.findIndex((each) => each.id === wanted.get("run"));
  if (run >= 0) view.run = run;
  if (/^\d+$/.test(wanted.get("step") || "")) view.step = Number(wanted.get("step"));
  view.step = clamp(runs[view.run], view.step);
}
function lists() {
  $("events").replaceChildren(...runs.map((run, n) => {
    const shown = run.events.filter((each) => STOPS.has(each[1]) || view.locks);
    run.items = shown.map((each) => {
      const item = el("button", { type: "button", "data-at": each[0], tabindex: -1 }, el("span", { class: "at" }, number(each[0])),
        el("span", { class: "kind" }, WORDS[each[1]]), el("span", {}, each[3]));
      item.addEventListener("click", () => { view.run = n; go(each[0]); });
      return item;
    });
    return el("div", {}, el("h3", {}, run.label), el("ol", { tabindex: 0, "aria-label": `Events of the ${run.label.toLowerCase()}` }, ...run.items.map((item) => el("li", {}, item))));
  }));
}
function legend() {
  const entry = (shape, text) => { const box = svg("svg", { width: 22, height: 14 }); box.append(...shape); return el("span", {}, box, text); };
  const bar = (attributes) => [svg("rect", { x: 0, width: 22, y: 1, height: 12, rx: 2, ...attributes })];
  $("legend").append(entry(bar({ fill: "var(--t0)" }), "runs"), entry(bar({ fill: "var(--t0)", opacity: .32, y: 3, height: 8 }), "interrupted"),
    entry(bar({ fill: "var(--t0)", opacity: .55, y: 5, height: 4 }), "ready"), entry(bar({ fill: "url(#failing-hatch)", stroke: "var(--line)" }), "sleeps"),
    entry(bar({ fill: "var(--handler)" }), "handler"), entry(bar({ fill: "var(--doubt)", y: 6, height: 3 }), "lock held"),
    entry([svg("line", { x1: 11, x2: 11, y1: 0, y2: 9, stroke: "var(--good)", "stroke-width": 2 }), svg("path", { d: "M7 8h8l-4 6z", fill: "var(--good)" })], "wakes"),
    entry([svg("circle", { cx: 11, cy: 7, r: 4.5, fill: "var(--card)", stroke: "var(--t0)", "stroke-width": 2 })], "goes to sleep"),
    entry([svg("circle", { cx: 11, cy: 7, r: 4, fill: "var(--bad)" })], "spins on a lock"),
    entry([svg("path", { d: "M4 1h14l-7 12z", fill: "var(--bad)" })], "placed preemption"),
    entry(bar({ fill: "var(--shade)", stroke: "var(--shade-line)" }), "window"));
}

head();
for (const run of runs) { run.held = run.lanes.map((_, lane) => depths(run, lane)); layout(run); }
if (runs.length) {
  const placed = runs[0].events.find((each) => each[1] === "placed");
  const beginning = placed || runs[0].events[runs[0].events.length - 1];
  if (beginning) view.step = beginning[0];
  fromHash();
  view.zoom = Math.max(1, (last + 1 - first) / (1.15 * (interesting() + 1 - first)));
  draw(); lists(); legend(); show();
  $("zoom-in").onclick = () => zoom(1.6);
  $("zoom-out").onclick = () => zoom(1 / 1.6);
  $("zoom-fit").onclick = () => zoom(0);
  $("zoom-window").onclick = zoomWindow;
  $("with-locks").onchange = (changed) => { view.locks = changed.target.checked; lists(); show(false); };
  addEventListener("resize", () => { draw(); show(false); });
  addEventListener("hashchange", () => { fromHash(); show(); });
} else document.querySelector("main").remove();
