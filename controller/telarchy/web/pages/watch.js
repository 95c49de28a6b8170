// The page of a stream: asks where it plays, plays it, says in plain words when there is nothing to see, and tries
// again by itself. What goes wrong is told to the server in sums, without anything about the viewer.
"use strict";

(() => {
  const REPORT_MS = 60000;
  const CHECK_MS = 8000; // while it plays: is it still this run of the stream?
  const AWAY_MS = 30000; // an endpoint that failed is the last choice for so long
  const byId = (id) => document.getElementById(id);

  const words = {
    Loading: ["One moment", ""],
    Pending: ["Not live yet", "This stream has not been started. It will appear here by itself."],
    Starting: ["Starting", "The first pictures are on their way."],
    NoSource: ["Nothing is being sent", "The stream is on, but nobody is sending a picture right now."],
    Ended: ["This stream has ended", "Should it begin again, it will appear here."],
    Failed: ["This stream could not be started", "Its owner has to look at it. It will appear here once it runs."],
    Suspended: ["This stream is suspended", "Its owner has put it aside for now."],
    NoEndpoint: ["No server has this stream", "It is live, but there is no server to watch it from at the moment."],
    EndpointAway: ["The servers are not answering", "The stream is live, but cannot be fetched right now."],
    Stuck: ["The picture has stopped", "Looking for another way to get it."],
    TokenMissing: ["This stream is private", "It needs the full link that you were given."],
    TokenInvalid: ["This link is not valid", "Check that it was copied whole, or ask for a new one."],
    TokenExpired: ["This link has expired", "Ask whoever gave it to you for a new one."],
    NotFound: ["There is no such stream", "Check the address. If it was just made, it will appear here."],
    Busy: ["Too many questions at once", "This page will try again shortly."],
    Offline: ["The server does not answer", "Your connection may be down, or the server is being restarted."],
    NoPlayer: [
      "This browser cannot play it",
      "The server has no hls.js to help it: its owner can add it with “make assets”. Safari and recent Chrome "
        + "play without.",
    ],
    Paused: ["Ready", "Press play to begin."],
  };
  const waiting = new Set(["Loading", "Starting", "Stuck", "EndpointAway", "Offline"]);

  const path = location.pathname.match(/^(\/p\/[^/]+\/[^/]+)?\/watch(?:\/([^/]+))?\/?$/) || [];
  const prefix = path[1] || "";
  const name = path[2] ? decodeURIComponent(path[2]) : "";
  const api = `${prefix}/api/v1/streams/${encodeURIComponent(name)}`;
  const video = byId("video");
  const opened = 0; // on the clock of performance.now(): when the page was asked for
  const session = Array.from(crypto.getRandomValues(new Uint8Array(8)), (one) => one.toString(16).padStart(2, "0"))
    .join("");

  let told = null; // what the server last said
  let playing = null; // the endpoint
  let reason = "";
  let timer = 0;
  let tick = 0;
  let shownAt = null; // seconds from opening the page to the first picture
  let hurried = false;
  const failed = new Map(); // endpoint -> when
  const report = { startup: null, moves: 0, errors: [], stalls: 0, stalled: 0, watched: 0 };

  const player = new window.Player(video, {
    onlevels: showLevels,
    onmoving: moving,
    onmuted: () => { byId("sound").hidden = false; },
    onwaits: () => cover("Paused"),
    onerror: (kind, detail, fatal) => {
      if (report.errors.length < 20) {
        report.errors.push({ kind, detail: String(detail || "").replace(/[^A-Za-z0-9_.-]/g, "").slice(0, 64), fatal });
      }
    },
    onlost: lost,
  });

  // --- asking and playing ---------------------------------------------------------------------------------------

  async function ask() {
    const answer = await fetch(`${api}/playback${location.search}`, {
      cache: "no-store", signal: AbortSignal.timeout ? AbortSignal.timeout(8000) : undefined,
    });
    const body = await answer.json().catch(() => ({}));
    if (answer.ok) return body;
    const why = answer.status === 404 ? "NotFound" : answer.status === 429 ? "Busy" : body.reason;
    return { live: false, reason: words[why] ? why : "Offline", endpoints: [], retryAfter: 10, refused: true };
  }

  async function load() {
    clearTimeout(timer);
    try {
      told = await ask();
    } catch {
      told = { live: false, reason: "Offline", endpoints: [], retryAfter: 4 };
    }
    showFacts();
    if (!Player.possible) return cover("NoPlayer");
    const next = told.live ? choose() : null;
    if (next) return play(next);
    playing = null;
    player.stop();
    cover(told.live ? "EndpointAway" : told.reason);
    return later(told.retryAfter || 5);
  }

  function choose() {
    const now = performance.now();
    const fresh = told.endpoints.filter((one) => !(now - failed.get(one.name) < AWAY_MS));
    if (fresh.length) return fresh[0];
    // all of them failed lately: the one whose failure is longest ago
    return [...told.endpoints].sort((one, other) => failed.get(one.name) - failed.get(other.name))[0];
  }

  function play(endpoint) {
    if (playing && playing.name !== endpoint.name) report.moves += 1;
    playing = endpoint;
    if (!player.begun) cover(reason === "Stuck" ? "Stuck" : "Loading");
    player.play(endpoint.url, told.segmentSeconds || 2, hurried);
    hurried = false;
    timer = setTimeout(check, CHECK_MS);
  }

  async function check() {
    clearTimeout(timer);
    const before = told;
    let now = null;
    try {
      now = await ask();
    } catch { /* what plays needs no answer from here */ }
    if (now && !now.refused) {
      told = now;
      showFacts();
      // another run has other names for everything; what is left of the old one has been seen to its end
      if (now.live && now.generation !== before.generation) return load();
      if (!now.live && player.buffered < 0.5) return load();
    }
    timer = setTimeout(check, CHECK_MS);
    return undefined;
  }

  function lost() {
    if (!playing) return;
    failed.set(playing.name, performance.now());
    hurried = true;
    reason = "Stuck";
    cover("Stuck", true);
    player.stop();
    send();
    const sole = told.endpoints.length < 2;
    clearTimeout(timer);
    // one that is alone gets a moment to come back
    timer = setTimeout(load, sole ? 1500 : 0);
  }

  function later(seconds) {
    let left = Math.max(1, Math.round(seconds));
    clearInterval(tick);
    const count = () => {
      byId("again").textContent = left > 0 ? `Looking again in ${left} s` : "Looking again…";
      left -= 1;
    };
    count();
    tick = setInterval(count, 1000);
    timer = setTimeout(() => { clearInterval(tick); load(); }, left * 1000 + 1000);
  }

  // --- what is shown ----------------------------------------------------------------------------------------------

  function cover(why, thin = false) {
    reason = why;
    const [what, more] = words[why] || words.Offline;
    clearInterval(tick);
    byId("again").textContent = "";
    if (byId("what").textContent !== what) byId("what").textContent = what;
    const said = told && told.detail ? `${more} (${told.detail})` : more;
    if (byId("why").textContent !== said) byId("why").textContent = said;
    byId("spinner").hidden = !waiting.has(why);
    byId("retry").hidden = ["Loading", "Starting", "Stuck", "NoPlayer", "Paused"].includes(why);
    byId("cover").classList.toggle("thin", thin || why === "Paused");
    byId("cover").hidden = false;
    // controls of nothing are not to be tabbed through
    video.controls = why === "Paused";
    if (why !== "Paused" && !thin) byId("live").hidden = true;
  }

  function moving(first) {
    if (!player.begun) return;
    if (!byId("cover").hidden) {
      byId("cover").hidden = true;
      video.controls = true;
    }
    reason = "";
    if (first && shownAt === null) {
      shownAt = (performance.now() - opened) / 1000;
      report.startup = shownAt;
      send();
    }
    showFacts();
  }

  function showFacts() {
    const title = told && told.stream ? told.stream : name;
    byId("name").textContent = title;
    document.title = title;
    const seen = told && told.viewers;
    byId("viewers").textContent = seen ? `${seen} watching` : "";
    const on = player.begun && playing !== null && byId("cover").hidden;
    byId("live").hidden = !on;
    const behind = on ? player.latency : null;
    byId("latency").textContent = behind === null ? "" : `${Math.round(behind)} s behind`;
    byId("live").classList.toggle("behind", behind !== null && behind > 30);
  }

  function showLevels(levels) {
    const select = byId("quality");
    select.replaceChildren(new Option("Auto", "-1"));
    levels.map((level, index) => ({ index, height: level.height, rate: level.bitrate }))
      .sort((one, other) => other.height - one.height || other.rate - one.rate)
      .forEach((one) => select.add(new Option(one.height ? `${one.height}p` : `${one.index + 1}`, String(one.index))));
    byId("choice").hidden = levels.length < 2;
  }

  async function showList() {
    byId("stage").hidden = true;
    byId("name").textContent = "Live streams";
    document.title = "Live streams";
    let found = null;
    try {
      const answer = await fetch(`/api/v1/streams${location.search}`, { cache: "no-store" });
      if (answer.ok) found = (await answer.json()).streams;
    } catch { /* tried again below */ }
    const facts = byId("latency");
    if (found) {
      facts.textContent = found.length ? "" : "None is public at the moment.";
      byId("list").replaceChildren(...found.map((one) => {
        const link = document.createElement("a");
        link.href = `/watch/${encodeURIComponent(one.stream)}${location.search}`;
        const title = document.createElement("span");
        title.textContent = one.stream;
        const state = document.createElement("span");
        state.className = one.live ? "live" : "quiet";
        state.textContent = one.live ? "Live" : (words[one.phase] || [one.phase])[0];
        link.append(title, state);
        return link;
      }));
      byId("list").hidden = !found.length;
    } else {
      facts.textContent = words.Offline[0];
    }
    setTimeout(showList, 10000);
  }

  // --- what is told ---------------------------------------------------------------------------------------------

  function send() {
    const stalls = player.stalls - report.stalls;
    const stalled = player.stalledMs - report.stalled;
    const watched = player.watchedMs - report.watched;
    if (report.startup === null && !report.errors.length && !stalls && !watched && !report.moves) return;
    const body = {
      session,
      generation: (told && told.generation) || "",
      watched: watched / 1000,
      stalls,
      stalled: Math.max(0, stalled) / 1000,
      moves: report.moves,
      errors: report.errors,
    };
    if (playing) body.endpoint = playing.name;
    if (report.startup !== null) body.startup = report.startup;
    if (player.latency !== null) body.latency = player.latency;
    Object.assign(report, {
      startup: null, moves: 0, errors: [], stalls: player.stalls, stalled: player.stalledMs, watched: player.watchedMs,
    });
    navigator.sendBeacon(
      `${api}/reports${location.search}`, new Blob([JSON.stringify(body)], { type: "application/json" }),
    );
  }

  byId("retry").addEventListener("click", load);
  byId("quality").addEventListener("change", (event) => player.choose(Number(event.target.value)));
  byId("sound").addEventListener("click", () => {
    video.muted = false;
    byId("sound").hidden = true;
    video.focus();
  });
  video.addEventListener("volumechange", () => { if (!video.muted) byId("sound").hidden = true; });
  window.addEventListener("online", () => { if (!player.begun || reason) load(); });
  window.addEventListener("pagehide", send);
  // for whoever measures: what the page knows, read only
  Object.defineProperty(window, "telarchy", {
    value: { get state() {
      return {
        reason, startup: shownAt, latency: player.latency, stalls: player.stalls, stalledMs: player.stalledMs,
        endpoint: playing && playing.name, moves: report.moves, time: video.currentTime, buffered: player.buffered,
        generation: told && told.generation, errors: report.errors, hls: Player.withHls,
      };
    } },
  });

  if (!name) {
    showList();
    return;
  }
  byId("name").textContent = name;
  document.title = name;
  setInterval(send, REPORT_MS);
  load();
})();
