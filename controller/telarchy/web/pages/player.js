// Plays one URL of a live stream after another: with hls.js, or with what the browser itself can do.
//
// It says `onplaying` at the first picture, `onlost(kind, detail)` when this URL leads nowhere any more, and
// `onerror` for everything that is worth a report. What to do about it is the page's affair.
"use strict";

class Player {
  static STALLED_MS = 7000; // without progress for so long, another endpoint is tried
  static START_MS = 12000; // likewise before the first picture

  constructor(video, told) {
    this.video = video;
    this.told = told;
    this.hls = null;
    this.mended = 0; // when a media error was last mended in place
    this.failures = 0; // playlists or segments in a row that could not be had
    this.moved = 0; // when the picture last moved
    this.at = -1;
    this.begun = false;
    this.stalls = 0;
    this.stalledMs = 0;
    this.watchedMs = 0;
    this.stalling = 0;
    video.addEventListener("waiting", () => this.stall());
    video.addEventListener("playing", () => this.go());
    video.addEventListener("error", () => this.nativeError());
    this.timer = setInterval(() => this.look(), 500);
  }

  static get possible() {
    return Player.withHls || Player.native;
  }

  static get withHls() {
    return typeof window.Hls === "function" && window.Hls.isSupported();
  }

  static get native() {
    return document.createElement("video").canPlayType("application/vnd.apple.mpegurl") !== "";
  }

  play(url, segmentSeconds, hurried) {
    this.stop();
    this.url = url;
    this.begun = false;
    this.moved = performance.now();
    this.at = -1;
    this.failures = 0;
    if (Player.withHls) {
      this.hls = new window.Hls(Player.settings(segmentSeconds, hurried));
      this.hls.on(window.Hls.Events.ERROR, (_, error) => this.hlsError(error));
      this.hls.on(window.Hls.Events.FRAG_LOADED, () => { this.failures = 0; });
      this.hls.on(window.Hls.Events.MANIFEST_PARSED, () => {
        this.told.onlevels(this.hls.levels);
        this.start();
      });
      this.hls.loadSource(url);
      this.hls.attachMedia(this.video);
    } else {
      this.video.src = url;
      this.start();
    }
  }

  static settings(segmentSeconds, hurried) {
    // Quick to notice: with two segments in hand there is time to go elsewhere before the picture stops.
    const load = (timeout, tries) => ({
      default: {
        maxTimeToFirstByteMs: timeout,
        maxLoadTimeMs: timeout * 3,
        timeoutRetry: { maxNumRetry: tries, retryDelayMs: 0, maxRetryDelayMs: 0 },
        errorRetry: { maxNumRetry: tries, retryDelayMs: 700, maxRetryDelayMs: 2000 },
      },
    });
    return {
      lowLatencyMode: false,
      liveSyncDurationCount: 3,
      liveMaxLatencyDurationCount: 8,
      maxLiveSyncPlaybackRate: 1.1,
      backBufferLength: 30,
      maxBufferLength: Math.max(20, segmentSeconds * 6),
      manifestLoadPolicy: load(hurried ? 2500 : 5000, hurried ? 1 : 2),
      playlistLoadPolicy: load(4000, 3),
      fragLoadPolicy: load(6000, 3),
    };
  }

  start() {
    const asked = this.video.play();
    if (!asked) return;
    asked.catch((refusal) => {
      if (refusal.name !== "NotAllowedError") return;
      // browsers play by themselves only without sound
      this.video.muted = true;
      this.told.onmuted();
      this.video.play().catch(() => this.told.onwaits());
    });
  }

  stop() {
    if (this.hls) this.hls.destroy();
    else if (this.url) {
      this.video.removeAttribute("src");
      this.video.load();
    }
    this.hls = null;
    this.url = "";
    this.go();
  }

  get latency() {
    if (!this.hls) return null;
    const shown = this.hls.playingDate; // by the clock of whoever encodes
    const behind = shown ? (Date.now() - shown.getTime()) / 1000 : this.hls.latency;
    return behind > 0 && behind < 3600 ? behind : null;
  }

  get buffered() {
    const { buffered, currentTime } = this.video;
    for (let one = 0; one < buffered.length; one += 1) {
      if (buffered.start(one) <= currentTime + 0.3 && buffered.end(one) > currentTime) {
        return buffered.end(one) - currentTime;
      }
    }
    return 0;
  }

  choose(level) {
    if (this.hls) this.hls.nextLevel = level;
  }

  toLive() {
    if (this.hls && this.hls.liveSyncPosition) this.video.currentTime = this.hls.liveSyncPosition;
  }

  // --- what goes wrong ----------------------------------------------------------------------------------------

  hlsError(error) {
    const kinds = { networkError: "network", mediaError: "media", muxError: "mux", keySystemError: "keySystem" };
    const kind = kinds[error.type] || "other";
    const stalling = error.details === "bufferStalledError" || error.details === "bufferNudgeOnStall";
    if (!stalling) this.told.onerror(kind, error.details, error.fatal);
    if (!error.fatal) {
      if (kind === "network") {
        this.failures += 1;
        const status = error.response ? error.response.code : 0;
        // the endpoint says itself that it is no good, or says nothing at all
        if (this.failures >= 2 && (status === 503 || status === 0 || status === 404)) this.lose(kind, error.details);
      }
      return;
    }
    const now = performance.now();
    if (kind === "media" && now - this.mended > 10000) {
      this.mended = now;
      this.hls.recoverMediaError();
      return;
    }
    this.lose(kind, error.details);
  }

  nativeError() {
    if (this.hls || !this.url || !this.video.error) return;
    this.told.onerror("native", `code${this.video.error.code}`, true);
    this.lose("native", `code${this.video.error.code}`);
  }

  lose(kind, detail) {
    if (!this.url) return;
    this.told.onlost(kind, detail);
  }

  // --- whether it moves ---------------------------------------------------------------------------------------

  stall() {
    if (this.begun && !this.video.seeking && !this.stalling) {
      this.stalling = performance.now();
      this.stalls += 1;
    }
  }

  go() {
    if (this.stalling) this.stalledMs += performance.now() - this.stalling;
    this.stalling = 0;
  }

  look() {
    if (!this.url || document.hidden) {
      this.moved = performance.now();
      return;
    }
    const now = performance.now();
    const { currentTime, paused } = this.video;
    if (currentTime !== this.at) {
      const first = !this.begun && currentTime > 0 && this.at >= 0 && currentTime > this.at;
      if (this.begun && !paused) this.watchedMs += 500;
      this.at = currentTime;
      this.moved = now;
      this.go();
      if (first) this.begun = true;
      this.told.onmoving(first);
    } else if (paused && this.begun) {
      this.moved = now;
    } else if (now - this.moved > (this.begun ? Player.STALLED_MS : Player.START_MS)) {
      this.moved = now;
      this.told.onerror("stall", this.begun ? "noProgress" : "noStart", true);
      this.lose("stall", "noProgress");
    }
  }
}

window.Player = Player;
