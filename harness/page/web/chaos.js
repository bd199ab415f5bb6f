/* Follows the newest run once a second. What comes from outside is only ever set as text. */
"use strict";

(() => {
  const token = document.querySelector('meta[name="chaos-token"]').content;
  const EVERY_MS = 1000, HIDDEN_MS = 5000, WINDOW_S = 300, LEAST_S = 30, KINDS_MAX = 4;
  const OVER = new Set(["completed", "stopped", "failed", "cancelled"]);
  const MARKED = new Set(["fis", "elb", "asg", "user"]);
  const GLYPHS = { good: "\u2713", bad: "\u2717", warn: "!" };
  const byId = (id) => document.getElementById(id);
  let seen = fresh("");
  let panels = null;
  let last = null;

  function fresh(run) {
    return { run, seconds: new Map(), events: [], last: {}, results: false };
  }

  // --- elements ---

  function element(name, text, { className, title } = {}) {
    const made = document.createElement(name);
    if (text !== undefined && text !== null) { made.textContent = String(text); }
    if (className) { made.className = className; }
    if (title) { made.title = title; }
    return made;
  }

  function fill(parent, children) { parent.replaceChildren(...children); }

  function show(id, is) { byId(id).hidden = !is; }

  function write(id, text) {
    const found = byId(id);
    if (found.textContent !== text) { found.textContent = text; }
  }

  function pill(found, text, kind) {
    found.textContent = kind && GLYPHS[kind] ? `${GLYPHS[kind]} ${text}` : text;
    found.className = `pill ${kind || ""}`;
  }

  function table(id, headers, rows) {
    const head = element("tr");
    for (const each of headers) {
      const cell = element("th", each.name, { className: each.isNumber ? "number" : "" });
      cell.scope = "col";
      head.append(cell);
    }
    const body = rows.map((row) => {
      const line = element("tr");
      row.forEach((value, index) => {
        const cell = element("td", undefined, { className: headers[index].isNumber ? "number" : "" });
        cell.append(value instanceof Node ? value : document.createTextNode(value ?? ""));
        line.append(cell);
      });
      return line;
    });
    const thead = element("thead"), tbody = element("tbody");
    thead.append(head);
    tbody.append(...body);
    fill(byId(id), [thead, tbody]);
  }

  function facts(id, pairs) {
    fill(byId(id), pairs.filter(([, value]) => value).flatMap(([name, value]) =>
      [element("dt", name), element("dd", value)]));
  }

  const number = (value) => Number(value ?? 0).toLocaleString("en");
  const clockTime = (at) => new Date(at / 1000).toLocaleTimeString([], { hour12: false });
  const seconds = (value) => {
    const whole = Math.max(0, Math.floor(value));
    return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  };
  const text = (name) => name.replaceAll("_", " ");

  // --- what is announced: changes, and nothing else ---

  function announce(changes) {
    const news = [];
    for (const [name, value] of changes) {
      if (value && seen.last[name] !== undefined && seen.last[name] !== value) {
        news.push(`${name}: ${value}`);
      }
      seen.last[name] = value;
    }
    if (news.length) { byId("announcement").textContent = news.join(". "); }
  }

  // --- the parts ---

  const STATE_KIND = { running: "good", stopping: "warn", judging: "warn", "called off": "bad" };

  function showRun(view) {
    const run = view.run;
    pill(byId("state"), run ? run.state : "no run yet", run && STATE_KIND[run.state]);
    write("run-name", run ? run.id : "");
    const planned = run && run.run_time_s ? ` of ${seconds(run.run_time_s)}` : "";
    const users = run && run.state === "running" ? `, ${number(view.users)} users` : "";
    write("clock", run ? `${seconds(run.elapsed_s)}${planned}${users}` : "");
    document.title = run ? `Chaos: ${run.state}` : "Chaos";
    show("idle", !run);
    show("now", Boolean(run));
    show("trouble", Boolean(view.trouble));
    write("trouble", view.trouble);
  }

  function experimentKind(state) {
    if (!state) { return "plainly"; }
    return state === "completed" || state === "stopped" ? "good" : OVER.has(state) ? "bad" : "warn";
  }

  function showExperiment(view) {
    const { run, scene, can } = view;
    const found = scene.experiment;
    const isLeft = run.template && !found.state && run.state === "running";
    const state = found.state || (run.template ? "not started" : "none");
    pill(byId("experiment-state"), state, experimentKind(found.state));
    const plan = (run.plan || []).map((each) =>
      `${each.name} at ${each.at}${each.state ? ` (${each.state})` : ""}`).join("; ");
    const left = (run.fires_at_s ?? 0) - run.elapsed_s;
    write("experiment-when", isLeft && run.fires_at_s !== null && left > 0
      ? `comes in ${seconds(left)}` : "");
    facts("experiment", [
      ["Faults", plan], ["Experiment", found.id], ["Reason", found.reason],
      ["Victims", found.victims.join(", ")], ["Plan", scene.blast], ["Trouble", scene.trouble],
      ["Shop", run.host],
    ]);
    byId("inject").disabled = !can.inject;
    byId("stop").disabled = !can.stop;
  }

  function showOrders(view) {
    const { orders, results } = view;
    if (!orders) { return; }
    const summary = results && results.summary;
    const resolution = summary && summary.committed_by_cause ? { isFinal: true,
      committed: summary.committed_by_cause, total: summary.orders.committed } : view.resolution;
    const tiles = [
      ["acknowledged", orders.acknowledged], ["rejected", orders.rejected],
      ["open now", orders.open], ["indeterminate", orders.indeterminate],
      ["unsent", orders.unsent],
    ];
    if (resolution) { tiles.push(["of them committed", resolution.total]); }
    fill(byId("tiles"), tiles.map(([name, value]) => {
      const tile = element("div");
      tile.dataset.name = name;
      tile.append(element("dt", name), element("dd", number(value)));
      return tile;
    }));
    const causes = Object.entries(orders.causes);
    show("causes", causes.length > 0);
    table("causes", [{ name: "in doubt because of" }, { name: "attempts", isNumber: true },
      { name: resolution && resolution.isFinal ? "in the table" : "in the table so far", isNumber: true }], causes.map(([cause, count]) =>
      [cause, number(count), resolution ? number(resolution.committed[cause]) : "?"]));
    write("resolution", resolutionText(orders, resolution));
  }

  function resolutionText(orders, resolution) {
    if (!resolution || !orders.indeterminate) { return ""; }
    if (resolution.isFinal) { return "As the last snapshot has it."; }
    if (resolution.trouble) { return `Not looked up: ${resolution.trouble}`; }
    if (resolution.asked_s_ago === null) { return "Not looked up yet."; }
    const part = orders.doubts_kept < orders.indeterminate
      ? ` Of ${number(orders.indeterminate)} only the first ${number(orders.doubts_kept)}.` : "";
    return `Looked up by key ${Math.round(resolution.asked_s_ago)} s ago.${part}`;
  }

  const HEALTH_KIND = { healthy: "good", unhealthy: "bad", unused: "bad", draining: "warn",
    initial: "warn", "unhealthy.draining": "bad", unavailable: "bad", deregistered: "plainly" };

  function breakable(reason) {
    const found = element("span", undefined, { className: "reason quiet" });
    reason.split(/(?<=\.)/).forEach((part) => found.append(part, document.createElement("wbr")));
    return found;
  }

  function showServers(scene) {
    table("servers", [{ name: "instance" }, { name: "target" }, { name: "EC2" }],
      scene.servers.map((each) => {
        const name = element("span");
        name.append(element("code", each.id));
        if (each.is_victim) { name.append(" ", element("span", "victim", { className: "pill bad" })); }
        const health = element("span");
        const label = element("span");
        pill(label, each.health || "no target", HEALTH_KIND[each.health] || "plainly");
        health.append(label);
        if (each.reason) { health.append(" ", breakable(each.reason)); }
        const machine = element("span", each.state);
        if (each.zone) { machine.append(" ", element("span", each.zone, { className: "quiet" })); }
        return [name, health, machine];
      }));
    const activities = scene.activities.map((each) =>
      element("li", `${clockTime(each.at)} ${each.status}: ${each.story || each.id}`));
    fill(byId("activities"), activities.length ? activities
      : [element("li", "no activity since the run began", { className: "quiet" })]);
  }

  function showEvents(events) {
    if (!events.length) { return; }
    seen.events.push(...events);
    seen.events.splice(0, Math.max(0, seen.events.length - 400));
    fill(byId("events"), [...seen.events].reverse().map((each) => {
      const line = element("li"), mark = element("span", each.number, { className: "mark" });
      const when = element("time", clockTime(each.at));
      when.dateTime = each.time;
      const what = element("span", undefined, { className: "what" });
      what.append(element("strong", text(each.event)), ` ${each.subject} ${each.detail}`);
      line.append(mark, when, element("span", each.source, { className: "source" }), what);
      return line;
    }));
  }

  // --- the chart ---

  function makePanels() {
    const parent = byId("charts");
    return {
      rate: new Chart.Panel(parent, { title: "Requests per second", height: 150 }),
      failed: new Chart.Panel(parent, { title: "Failures per second, by kind", height: 130 }),
      latency: new Chart.Panel(parent, { title: "Latency in ms: median and 95th percentile", height: 150 }),
    };
  }

  function chosenKinds(points) {
    const sums = new Map();
    for (const point of points) {
      for (const [kind, count] of Object.entries(point.failures)) {
        sums.set(kind, (sums.get(kind) || 0) + count);
      }
    }
    const names = [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a));
    const first = names.slice(0, KINDS_MAX), rest = names.slice(KINDS_MAX);
    const kinds = first.map((name) => ({ name, sum: sums.get(name), of: (p) => p.failures[name] || 0 }));
    if (rest.length) {
      const total = (count) => rest.reduce((sum, name) => sum + count(name), 0);
      kinds.push({ name: "others", sum: total((name) => sums.get(name)),
        of: (p) => total((name) => p.failures[name] || 0) });
    }
    return kinds;
  }

  function faultSpans(until) {
    const spans = [];
    let from = null;
    for (const each of seen.events.filter(({ source }) => source === "fis")) {
      if (["initiating", "running"].includes(each.event) && from === null) { from = each.at / 1e6; }
      if (OVER.has(each.event) && from !== null) { spans.push([from, each.at / 1e6]); from = null; }
    }
    return from === null ? spans : [...spans, [from, until]];
  }

  function drawn(view) {
    const isOver = view.run.state === "over" || view.run.state === "called off";
    const known = [...seen.seconds.keys()];
    const first = known.length ? Math.min(...known) : Math.floor(view.now);
    // The second that is on is not whole, and would look like a fall.
    const last = isOver && known.length ? Math.max(...known) : Math.floor(view.now) - 1;
    const from = isOver ? first : Math.max(first, last - WINDOW_S);
    const to = Math.max(last + 1, from + LEAST_S);
    const points = [];
    for (let at = from; at <= last; at += 1) {
      points.push(seen.seconds.get(at)
        || { at, requests: 0, failures: {}, p50_ms: null, p95_ms: null, longest_ms: 0 });
    }
    return { from, to, last, points };
  }

  function showChart(view) {
    panels = panels || makePanels();
    const { from, to, last: newest, points } = drawn(view);
    const kinds = chosenKinds(points);
    const failed = (point) => Object.values(point.failures).reduce((sum, each) => sum + each, 0);
    const most = (value) => points.reduce((top, point) => Math.max(top, value(point) || 0), 0);
    const marks = seen.events.filter((each) => MARKED.has(each.source)).map((each) => ({
      at: each.at / 1e6, number: each.number, isFault: each.source === "fis" || each.source === "user",
    }));
    const spans = faultSpans(newest);
    const { rate, failed: bad, latency } = panels;
    for (const [panel, top] of [[rate, most((p) => p.requests)], [bad, most(failed)],
      [latency, most((p) => p.p95_ms)]]) {
      panel.begin(from, to, top);
      panel.shade(spans);
    }
    rate.area(points, (p) => p.requests, "area");
    rate.line(points, (p) => p.requests, "s3", 0);
    bad.stacks(points, kinds);
    latency.line(points, (p) => p.p50_ms, "s3", 0);
    latency.line(points, (p) => p.p95_ms, "s1", 1);
    rate.marks(marks, { isNumbered: true });
    bad.marks(marks, { isNumbered: false });
    latency.marks(marks, { isNumbered: false });
    describe(points, kinds, failed);
  }

  function describe(points, kinds, failed) {
    const now = points[points.length - 1];
    const { rate, failed: bad, latency } = panels;
    const newest = now ? `${number(now.requests)} requests/s, ${number(failed(now))} failed, `
      + `p50 ${now.p50_ms ?? "-"} ms, p95 ${now.p95_ms ?? "-"} ms` : "nothing yet";
    write("chart-text", `Newest second: ${newest}. The band is the experiment.`);
    rate.say(`Requests per second. Newest: ${newest}`);
    bad.say(`Failures: ${kinds.map((each) => `${each.name} ${each.sum}`).join(", ") || "none"}`);
    latency.say(`Latency in milliseconds. Newest: ${newest}`);
    const entry = (label, index, isLine) => {
      const line = element("li");
      line.append(Chart.swatch(index, isLine), label);
      return line;
    };
    fill(byId("legend"), [
      ...kinds.map((kind, index) => entry(`${kind.name}: ${number(kind.sum)}`, index)),
      entry("p50", 0, { colour: "s3", dash: 0 }), entry("p95", 0, { colour: "s1", dash: 1 }),
    ]);
  }

  // --- the end ---

  const VERDICT = { held: "good", broken: "bad", undecided: "warn" };

  function showResults(run, results) {
    show("verdict", Boolean(results));
    if (!results || seen.results) { return; }
    seen.results = true;
    const summary = results.summary;
    const word = byId("verdict-word");
    word.textContent = summary ? `${GLYPHS[VERDICT[summary.verdict]] || ""} ${summary.verdict}`
      : "no verdict";
    word.className = `word ${summary ? VERDICT[summary.verdict] || "warn" : "warn"}`;
    write("verdict-sentence", summary ? sentence(summary) : results.trouble);
    table("outcomes", [{ name: "outcome" }, { name: "verdict" }, { name: "attempts", isNumber: true }],
      results.table.map((each) => [each.outcome, each.verdict, number(each.attempts)]));
    fill(byId("invariants"), (summary ? summary.invariants : []).map((each) => {
      const line = element("li"), label = element("span");
      pill(label, each.verdict, VERDICT[each.verdict]);
      line.append(label, ` ${each.id}`);
      if (each.verdict !== "held") { line.append(`: ${each.detail ?? each.statement}`); }
      return line;
    }));
    showUntold(results);
    showFiles(run, results.files);
  }

  function sentence(summary) {
    const hidden = summary.unacknowledged_orders;
    const asked = `${number(summary.attempts.total)} attempts, ${number(summary.attempts.indeterminate)} `
      + "of them without a definite answer. ";
    if (!hidden || !hidden.count) { return `${asked}No order is in the table that nobody was told of.`; }
    const goods = `${number(hidden.pieces)} pieces, worth ${hidden.value}`;
    if (hidden.answered) {
      return `${asked}${number(hidden.count)} orders are in the table that were not acknowledged; ${number(hidden.answered)} `
        + `of them were answered with a success that promises none, or is not understood: ${goods}.`;
    }
    return `${asked}${number(hidden.count)} orders are in the table although their customers were not told: ${goods}.`;
  }

  function showUntold(results) {
    const counted = results.summary && results.summary.unacknowledged_orders;
    const count = counted ? counted.count : results.untold_count;
    const shown = results.untold.length;
    write("untold-count", count === 0 ? "None." : shown < count
      ? `${number(count)} orders; the first ${number(shown)} that can be named:` : `${number(count)} orders:`);
    show("untold", shown > 0);
    byId("untold").parentElement.hidden = shown === 0;
    table("untold", [{ name: "order", isNumber: true }, { name: "product", isNumber: true },
      { name: "pieces", isNumber: true }, { name: "the customer saw" }, { name: "order key" }],
    results.untold.map((each) => [each.order_id, each.product_id, each.quantity, each.told,
      element("code", each.order_key)]));
  }

  function showFiles(run, files) {
    const link = (name, label) => {
      const made = element("a", label);
      made.href = `runs/${encodeURIComponent(run.id)}/${encodeURIComponent(name)}`;
      if (name.endsWith(".html") || name.endsWith(".png")) { made.target = "_blank"; made.rel = "noopener"; }
      return made;
    };
    show("report-link", files.includes("report.html"));
    fill(byId("report-link"), [link("report.html", "Open the report")]);
    fill(byId("files"), files.filter((name) => name !== "report.html").map((name) => {
      const line = element("li");
      line.append(link(name, name));
      return line;
    }));
  }

  // --- following ---

  function take(view) {
    const id = view.run ? view.run.id : "";
    if (view.run && id !== seen.run) {
      seen = fresh(id);
      fill(byId("events"), []);
      byId("acted").textContent = "";
    }
    last = view;
    showRun(view);
    showResults(view.run, view.run ? view.results : null);
    if (!view.run) { return; }
    for (const point of view.seconds) { seen.seconds.set(point.at, point); }
    showExperiment(view);
    showOrders(view);
    showServers(view.scene);
    showEvents(view.events.filter((each) =>
      !seen.events.length || each.number > seen.events[seen.events.length - 1].number));
    showChart(view);
    announce([["Run", view.run.state], ["Experiment", view.scene.experiment.state || "not started"],
      ...view.scene.servers.map((each) => [each.id, each.health]),
      ["Verdict", view.results && view.results.summary ? view.results.summary.verdict : "not yet"]]);
  }

  async function ask() {
    const since = seen.seconds.size ? Math.max(...seen.seconds.keys()) : 0;
    const after = seen.events.length ? seen.events[seen.events.length - 1].number : 0;
    const about = new URLSearchParams({ run: seen.run, since, after });
    const answer = await fetch(`live?${about}`, { headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) { throw new Error(`Locust answered ${answer.status}`); }
    return answer.json();
  }

  async function follow() {
    try {
      const view = await ask();
      show("lost", false);
      take(view);
    } catch (error) {
      show("lost", true);
      write("lost", `Locust cannot be reached, or wants a login: what you see may be old (${error.message}).`);
    }
    setTimeout(follow, document.hidden ? HIDDEN_MS : EVERY_MS);
  }

  // --- acting ---

  function confirmed({ title, body, yes }) {
    const dialog = byId("confirm");
    write("confirm-title", title);
    write("confirm-text", body);
    write("confirm-yes", yes);
    return new Promise((resolve) => {
      const decide = (is) => () => { dialog.close(); resolve(is); };
      byId("confirm-yes").onclick = decide(true);
      byId("confirm-no").onclick = decide(false);
      dialog.oncancel = () => resolve(false);
      dialog.showModal();
    });
  }

  async function act(action, question, done) {
    if (!await confirmed(question)) { return; }
    try {
      const answer = await fetch(action, { method: "POST", headers: { "X-Chaos-Token": token } });
      const found = answer.headers.get("Content-Type")?.includes("json") ? await answer.json()
        : { why: await answer.text() };
      write("acted", answer.ok ? done : `Not done: ${found.why}`);
    } catch (error) {
      write("acted", `Not done: ${error.message}`);
    }
  }

  byId("inject").addEventListener("click", () => act("inject", {
    title: "Inject the fault now?",
    body: last && last.scene.blast ? `It ${last.scene.blast}. There is one experiment per run.`
      : "The run's experiment starts at once. There is one experiment per run.",
    yes: "Inject now",
  }, "Asked to inject."));
  byId("stop").addEventListener("click", () => act("stop", {
    title: "Stop the experiment?",
    body: "FIS is asked to stop it, as at the end of a run. A stopped experiment cannot be resumed; the load goes on.",
    yes: "Stop the experiment",
  }, "Asked to stop."));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => last && last.run && showChart(last));
  addEventListener("resize", () => last && last.run && showChart(last));
  follow();
})();
