// One camera as it sends itself: fragments of MP4 for the browser's own decoder (Media Source Extensions).

const KEPT = 20; // Seconds that are held behind what is shown, and ahead of it at most.
const LATE = 2; // Seconds behind the newest picture from which on it is caught up with at once.

const typeOf = (codec) => `video/mp4; codecs="${codec}"`;

// Whether this browser plays films at all; which kinds, their beginnings tell.
export const playsFilms = () => "MediaSource" in window;

export class Film {
  // onshown: pictures of it are on the screen; onfailed: it cannot be played, with why in words.
  constructor(video, onshown, onfailed) {
    Object.assign(this, { video, onshown, onfailed, source: null, buffer: null, queue: [], walls: [], url: "" });
    video.addEventListener("error", () => this.fail(video.error?.message || "it cannot be decoded"));
    video.addEventListener("playing", () => { if (this.source) this.onshown(); });
  }

  take(header, data) {
    if (header.part === "none") { this.fail(header.words); return; }
    if (header.part === "beginning") this.begin(header, data);
    else if (this.source) {
      this.walls.push([header.media, header.wall]);
      if (this.walls.length > 1000) this.walls.splice(0, 500);
      this.queue.push(data);
      this.append();
    }
  }

  begin({ codec }, data) {
    this.close();
    if (!MediaSource.isTypeSupported(typeOf(codec))) { this.fail(`this browser does not play ${codec}`); return; }
    const source = new MediaSource();
    this.source = source;
    this.queue = [data];
    this.url = URL.createObjectURL(source);
    source.addEventListener("sourceopen", () => {
      if (this.source !== source) return;
      this.buffer = source.addSourceBuffer(typeOf(codec));
      this.buffer.addEventListener("updateend", () => this.settle());
      this.append();
    }, { once: true });
    this.video.src = this.url;
    // Without sound browsers let it begin by itself.
    this.video.play().catch(() => {});
  }

  append() {
    const { buffer, queue } = this;
    if (!buffer || buffer.updating || queue.length === 0) return;
    // What waits goes at once: fragments follow one another.
    const bytes = new Blob(queue.splice(0));
    const source = this.source;
    bytes.arrayBuffer().then((data) => {
      if (this.source !== source) return;
      if (buffer.updating) { queue.unshift(data); return; }
      try { buffer.appendBuffer(data); } catch (error) { this.fail(error.message); }
    });
  }

  // After each step: near the newest picture, and nothing is held that was shown long ago.
  settle() {
    const { buffer, video, source } = this;
    if (!source || !buffer || source.readyState !== "open") return;
    const ranges = buffer.buffered;
    if (ranges.length) {
      const begin = ranges.start(ranges.length - 1);
      const end = ranges.end(ranges.length - 1);
      if (video.currentTime < begin || end - video.currentTime > LATE) video.currentTime = Math.max(begin, end - 0.1);
      video.playbackRate = end - video.currentTime > 0.7 ? 1.1 : 1;
      if (!buffer.updating && video.currentTime - ranges.start(0) > 2 * KEPT) {
        buffer.remove(ranges.start(0), video.currentTime - KEPT);
        return;
      }
    }
    this.append();
  }

  // When what is on the screen was seen, Unix seconds; null: nothing is, yet.
  wall() {
    const now = this.video.currentTime;
    const last = this.walls.findLast(([media]) => media <= now);
    return last ? last[1] + (now - last[0]) : null;
  }

  fail(words) {
    if (!this.source && !words) return;
    this.close();
    this.onfailed(words);
  }

  close() {
    if (!this.source) return;
    this.source = null;
    this.buffer = null;
    this.queue = [];
    this.walls = [];
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.url);
  }
}
