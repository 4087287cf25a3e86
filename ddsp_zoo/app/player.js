// Plays the parts of a song together. Each part comes in pieces of some seconds, and pieces are started by the clock of
// one audio context, so that parts stay together to the sample and a long song needs little memory.
class DdspPlayer extends HTMLElement {
  static observedAttributes = ["data-version"];
  tracks = [];
  context = null;
  started = null; // context time at which the song's second 0 was, or would have been
  run = 0; // counts starts, so that what arrives late for an earlier one is dropped

  connectedCallback() {
    this.begin();
  }

  attributeChangedCallback(name, before) {
    if (before !== null) setTimeout(() => this.isConnected && this.begin()); // once the page has put new rows here
  }

  begin() {
    this.end();
    this.seconds = Number(this.dataset.seconds);
    this.rate = Number(this.dataset.rate);
    this.piece = Number(this.dataset.piece);
    this.place = 0; // seconds into the song, where it stands still
    this.tracks = [...this.querySelectorAll(".track")].map((row) => this.trackOf(row));
    this.button = this.querySelector(".play");
    this.slider = this.querySelector(".place");
    this.button.onclick = () => (this.started === null ? this.play() : this.pause());
    this.slider.oninput = () => this.goTo(Number(this.slider.value));
    this.show();
  }

  disconnectedCallback() {
    this.end();
  }

  end() {
    this.halt();
    this.context?.close();
    this.context = null;
  }

  trackOf(row) {
    const track = { row, solo: false, mute: row.dataset.muted === "true", gain: null };
    track.pieces = new Map(); // by number, decoded or on their way
    track.sources = new Map(); // by number, started
    row.querySelector(".solo").onclick = () => this.change(() => (track.solo = !track.solo));
    row.querySelector(".mute").onclick = () => this.change(() => (track.mute = !track.mute));
    row.querySelector(".level").oninput = () => this.change(() => {});
    return track;
  }

  isHeard(track) {
    return this.tracks.some((other) => other.solo) ? track.solo : !track.mute;
  }

  change(step) {
    step();
    this.show();
    for (const track of this.tracks) this.setGain(track);
    if (this.started !== null) this.fill();
  }

  setGain(track) {
    if (!track.gain) return;
    const level = this.isHeard(track) ? Number(track.row.querySelector(".level").value) : 0;
    track.gain.gain.setTargetAtTime(level, this.context.currentTime, 0.01);
  }

  position() {
    return this.started === null ? this.place : Math.max(this.context.currentTime - this.started, 0);
  }

  async play() {
    this.wake();
    const run = ++this.run;
    if (this.place >= this.seconds - 0.05) this.place = 0;
    this.button.textContent = "Loading";
    const number = Math.floor(this.place / this.piece);
    const heard = this.tracks.filter((track) => this.isHeard(track));
    await Promise.all([this.context.resume(), ...heard.map((track) => this.load(track, number))]);
    if (run !== this.run || !this.context) return;
    this.started = this.context.currentTime + 0.05 - this.place;
    this.timer = setInterval(() => this.tick(), 100);
    this.tick();
  }

  wake() {
    if (this.context) return;
    try {
      this.context = new AudioContext({ sampleRate: this.rate }); // pieces then join without being resampled
    } catch {
      this.context = new AudioContext();
    }
    for (const track of this.tracks) {
      track.gain = this.context.createGain();
      track.gain.gain.value = 0;
      track.gain.connect(this.context.destination);
      this.setGain(track);
    }
  }

  halt() {
    this.run++;
    clearInterval(this.timer);
    for (const track of this.tracks) {
      for (const source of track.sources.values()) source?.stop();
      track.sources.clear();
    }
    this.started = null;
  }

  pause() {
    this.place = Math.min(this.position(), this.seconds);
    this.halt();
    this.show();
  }

  goTo(place) {
    const goesOn = this.started !== null;
    this.halt();
    this.place = place;
    this.show();
    if (goesOn) this.play();
  }

  tick() {
    if (this.position() >= this.seconds) {
      this.halt();
      this.place = 0;
    } else this.fill();
    this.show();
  }

  fill() {
    const first = Math.floor(this.position() / this.piece);
    for (const track of this.tracks.filter((own) => this.isHeard(own)))
      for (const number of [first, first + 1])
        if (number * this.piece < this.seconds && !track.sources.has(number)) this.start(track, number);
  }

  async start(track, number) {
    const run = this.run;
    track.sources.set(number, null); // on its way
    const buffer = await this.load(track, number);
    if (run !== this.run || !buffer) return;
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(track.gain);
    const due = this.started + number * this.piece;
    const now = Math.max(due, this.context.currentTime + 0.02);
    if (now - due < buffer.duration) source.start(now, now - due);
    track.sources.set(number, source);
  }

  load(track, number) {
    for (const old of track.pieces.keys()) if (Math.abs(old - number) > 1) track.pieces.delete(old);
    if (!track.pieces.has(number)) track.pieces.set(number, this.fetched(track, number));
    return track.pieces.get(number);
  }

  async fetched(track, number) {
    try {
      const answer = await fetch(`${track.row.dataset.sounds}/${number}`);
      if (!answer.ok) throw new Error(answer.statusText);
      const data = await answer.arrayBuffer();
      return data.byteLength > 44 ? await this.context.decodeAudioData(data) : null;
    } catch (error) {
      track.pieces.delete(number);
      this.querySelector(".trouble").textContent = `The sound cannot be had (${error.message}): load the page again.`;
      return null;
    }
  }

  show() {
    const place = this.position();
    const text = (time) => `${Math.floor(time / 60)}:${String(Math.floor(time % 60)).padStart(2, "0")}`;
    this.button.textContent = this.started === null ? "Play" : "Pause";
    this.slider.value = place;
    this.querySelector(".clock").textContent = `${text(place)} / ${text(this.seconds)}`;
    for (const track of this.tracks) {
      track.row.querySelector(".solo").setAttribute("aria-pressed", track.solo);
      track.row.querySelector(".mute").setAttribute("aria-pressed", track.mute);
      track.row.classList.toggle("silent", !this.isHeard(track));
    }
  }
}

customElements.define("ddsp-player", DdspPlayer);
