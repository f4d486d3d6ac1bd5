// The page's whole client: STOMP 1.2 over WebSocket, and the page around it. Nothing from elsewhere, nothing stored:
// the password lives in this page's memory until it is left.
"use strict";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

// ---- STOMP 1.2 ------------------------------------------------------------------------------------------------

const ESCAPES = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c" };
const escapeHeader = (text) => String(text).replace(/[\\\n\r:]/g, (c) => ESCAPES[c]);
const unescapeHeader = (text) =>
  text.replace(/\\(.)/g, (_, c) => ({ n: "\n", r: "\r", c: ":", "\\": "\\" })[c] ?? c);

function encodeFrame(command, headers, body = "") {
  // CONNECT is the one frame whose headers are not escaped.
  const write = command === "CONNECT" ? String : escapeHeader;
  const lines = Object.entries(headers).map(([name, value]) => `${write(name)}:${write(value)}`);
  if (body) lines.push(`content-length:${encoder.encode(body).length}`);
  return `${[command, ...lines].join("\n")}\n\n${body}\0`;
}

function decodeFrame(bytes) {
  // Line ends are LF, or CR LF; the head ends at the first empty line.
  let end = 0;
  for (; end < bytes.length; end++) {
    if (bytes[end] === 10 && (bytes[end + 1] === 10 || (bytes[end + 1] === 13 && bytes[end + 2] === 10))) break;
  }
  const [command, ...lines] = decoder.decode(bytes.subarray(0, end)).split(/\r?\n/);
  const headers = new Map();
  const read = command === "CONNECTED" ? String : unescapeHeader;
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = read(line.slice(0, colon));
    if (colon > 0 && !headers.has(name)) headers.set(name, read(line.slice(colon + 1)));
  }
  const start = end + (bytes[end + 1] === 13 ? 3 : 2);
  const length = Number(headers.get("content-length") ?? NaN);
  const stop = Number.isFinite(length) ? start + length : bytes.indexOf(0, start);
  return { command, headers, body: bytes.subarray(start, stop < 0 ? bytes.length : stop) };
}

// Close codes after which coming back unchanged is of no use.
const FINAL = new Set([1002, 1007, 1008, 1009, 4401, 4403, 4409]);
const HEARTBEAT_MS = 10_000;

// Keeps one session open: connects, subscribes again after a loss, and waits between attempts with back-off and full
// jitter, so that many pages do not come back in one wave.
class Client {
  constructor(url, user, password, on) {
    Object.assign(this, { url, user, password, on });
    this.subscriptions = new Map(); // id -> { destination, handler, joined }
    this.receipts = new Map(); // id -> callback
    this.attempt = 0;
    this.ids = 0;
    this.open();
  }

  open() {
    this.ready = false;
    this.error = null;
    this.on.state("wait", this.attempt ? "Reconnecting…" : "Connecting…");
    const socket = (this.socket = new WebSocket(this.url, ["v12.stomp"]));
    socket.binaryType = "arraybuffer";
    this.handshake = setTimeout(() => socket.close(), 15_000);
    socket.onopen = () =>
      socket.send(encodeFrame("CONNECT", {
        "accept-version": "1.2",
        host: location.hostname,
        "heart-beat": `${HEARTBEAT_MS},${HEARTBEAT_MS}`,
        login: this.user,
        passcode: this.password,
      }));
    socket.onmessage = ({ data }) => {
      this.heard = performance.now();
      const bytes = typeof data === "string" ? encoder.encode(data) : new Uint8Array(data);
      let at = 0;
      while (at < bytes.length && (bytes[at] === 10 || bytes[at] === 13)) at++; // heart-beats
      if (at < bytes.length) this.frame(decodeFrame(bytes.subarray(at)));
    };
    socket.onclose = ({ code, reason }) => this.lost(socket, code, reason);
  }

  frame({ command, headers, body }) {
    switch (command) {
      case "CONNECTED":
        clearTimeout(this.handshake);
        this.attempt = 0;
        this.ready = true;
        this.beat(headers.get("heart-beat") ?? "0,0");
        for (const [id, subscription] of this.subscriptions) this.join(id, subscription);
        this.on.connected(headers); // may send: what answers is joined by then
        break;
      case "MESSAGE":
        this.subscriptions.get(headers.get("subscription"))?.handler(headers, body);
        break;
      case "RECEIPT": {
        const id = headers.get("receipt-id");
        this.receipts.get(id)?.();
        this.receipts.delete(id);
        break;
      }
      case "ERROR":
        this.error = headers.get("message") || "the server refused";
        break;
    }
  }

  beat(offer) {
    const [sends, wants] = offer.split(",").map(Number);
    clearInterval(this.timer);
    if (!sends && !wants) return;
    const every = wants ? Math.max(wants, HEARTBEAT_MS) : 0;
    const silence = sends ? Math.max(sends, HEARTBEAT_MS) * 2.5 : Infinity;
    let sent = performance.now();
    this.heard = sent;
    this.timer = setInterval(() => {
      const now = performance.now();
      if (now - this.heard > silence) {
        this.socket.close();
        this.lost(this.socket, 4408, "nothing heard from the server");
      } else if (every && now - sent >= every * 0.9) {
        sent = now;
        this.socket.send("\n");
      }
    }, 1_000);
  }

  lost(socket, code, reason) {
    if (socket !== this.socket) return;
    this.socket = null;
    this.ready = false;
    clearTimeout(this.handshake);
    clearInterval(this.timer);
    this.receipts.clear();
    const words = this.error || reason;
    // After a refusal, what the server never confirmed may be what it refused: do not ask for it again.
    const unjoined = [...this.subscriptions].filter(([, subscription]) => !subscription.joined);
    const blamed = code === 1008 && this.error && unjoined.length > 0;
    if (blamed) for (const [id] of unjoined) this.subscriptions.delete(id);
    if (this.stopped) return;
    if (FINAL.has(code) && !blamed) {
      this.stopped = true;
      this.on.ended(code, words || `closed with ${code}`);
      return;
    }
    for (const subscription of this.subscriptions.values()) subscription.joined = false;
    this.on.subscriptions();
    if (words) this.on.trouble(words, Boolean(this.error));
    const ceiling = Math.min(30_000, 500 * 2 ** this.attempt++);
    const wait = 200 + Math.random() * ceiling;
    this.on.state("wait", `Connection lost, trying again in ${(wait / 1000).toFixed(1)}\u00a0s`);
    this.retry = setTimeout(() => this.open(), wait);
  }

  subscribe(destination, handler) {
    const id = `sub-${this.ids++}`;
    const subscription = { destination, handler, joined: false };
    this.subscriptions.set(id, subscription);
    if (this.ready) this.join(id, subscription);
    return id;
  }

  join(id, subscription) {
    const receipt = this.receipt(() => {
      subscription.joined = true;
      this.on.subscriptions();
    });
    this.socket.send(encodeFrame("SUBSCRIBE", { id, destination: subscription.destination, receipt }));
    this.on.subscriptions();
  }

  unsubscribe(id) {
    this.subscriptions.delete(id);
    if (this.ready) this.socket.send(encodeFrame("UNSUBSCRIBE", { id }));
    this.on.subscriptions();
  }

  send(destination, body, done) {
    if (!this.ready) return false;
    const headers = { destination };
    if (body) headers["content-type"] = "text/plain;charset=UTF-8";
    if (done) headers.receipt = this.receipt(done);
    this.socket.send(encodeFrame("SEND", headers, body));
    return true;
  }

  receipt(callback) {
    const id = `r-${this.ids++}`;
    this.receipts.set(id, callback);
    return id;
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.retry);
    clearTimeout(this.handshake);
    clearInterval(this.timer);
    if (this.ready) this.socket.send(encodeFrame("DISCONNECT", {}));
    this.socket?.close();
    this.socket = null;
  }
}

// ---- The page -------------------------------------------------------------------------------------------------

const $ = (id) => document.getElementById(id);
const settings = document.body.dataset;
const base = new URL(".", location.href); // ends in a slash, wherever the page is mounted
const SHOWN = 200;
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 };

let client = null;
let credentials = null;
let received = 0;
let unread = false; // the notice says what was refused: the next session must not take it away at once
let waiting = []; // notifications for the next animation frame

function wsUrl() {
  const url = new URL(settings.wsPath.replace(/^\//, ""), base);
  url.protocol = base.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function setState(state, text) {
  $("state").dataset.state = state;
  $("state-text").textContent = text;
}

function notice(text) {
  $("notice").textContent = text ?? "";
  $("notice").hidden = !text;
}

function result(id, text, kind) {
  $(id).textContent = text;
  $(id).className = `result ${kind ?? ""}`;
}

function connect(user, password) {
  credentials = { user, password };
  notice();
  client = new Client(wsUrl(), user, password, {
    state: setState,
    trouble(words, refused) {
      notice(words);
      unread = refused;
    },
    subscriptions: drawSubscriptions,
    connected(headers) {
      if (!unread) notice();
      unread = false;
      const instance = headers.get("instance");
      setState("on", `${headers.get("user-name") ?? user}${instance ? ` on ${instance}` : ""}`);
      show(true);
      client.send(`${settings.applicationPrefix}/init/users`, "");
    },
    ended(code, words) {
      setState("bad", "Not connected");
      notice(code === 4401 ? "Wrong user or password." : `Disconnected: ${words}.`);
      show(false);
    },
  });
  // What the page itself wants to know; the person's own subscriptions come beside it.
  if (settings.listDestination) quietly(settings.listDestination, drawOnline);
  quietly(`${settings.userPrefix}/queue/init/users`, drawOnline);
  quietly(`${settings.userPrefix}/queue/errors`, (_, body) => {
    const error = parse(body) ?? {};
    notice(`${error.destination ?? ""}: ${error.message ?? "the request failed"}`);
  });
  watch(`${settings.broadcastPrefix}/message`);
  watch(`${settings.userPrefix}${settings.broadcastPrefix}/orders`);
}

function quietly(destination, handler) {
  const id = client.subscribe(destination, handler);
  client.subscriptions.get(id).quiet = true;
}

function watch(destination) {
  for (const subscription of client.subscriptions.values()) {
    if (!subscription.quiet && subscription.destination === destination) return;
  }
  client.subscribe(destination, arrived);
}

function show(connected) {
  const before = !$("desk").hidden;
  $("login").hidden = connected;
  $("desk").hidden = !connected;
  $("logout").hidden = !connected;
  if (connected !== before) {
    const field = connected ? "subscribe-form" : "login-form";
    $(field).elements[0].focus({ preventScroll: true });
  }
}

function parse(body) {
  try {
    return JSON.parse(decoder.decode(body));
  } catch {
    return null;
  }
}

function arrived(headers, body) {
  received++;
  waiting.push({ headers, body: body.slice(0, 65_536), cut: body.length > 65_536 });
  if (waiting.length > SHOWN) waiting.shift();
  if (waiting.length === 1) requestAnimationFrame(drawStream);
}

function drawStream() {
  const stream = $("stream");
  for (const { headers, body, cut } of waiting) {
    const item = element("li");
    const meta = element("div", undefined, "meta");
    const time = Number(headers.get("timestamp")) || Date.now();
    meta.append(
      element("code", headers.get("destination")),
      element("span", new Date(time).toLocaleTimeString(undefined, CLOCK)),
    );
    const trace = headers.get("traceparent")?.split("-")[1];
    if (trace) meta.append(element("span", `trace ${trace}`));
    // As it came: parsed and written again, a long number would show as another.
    const text = decoder.decode(body);
    item.append(meta, element("pre", cut ? `${text} … (cut here)` : text));
    stream.prepend(item);
  }
  waiting = [];
  while (stream.children.length > SHOWN) stream.lastChild.remove();
  $("received").textContent = `${received.toLocaleString()} received`;
  $("stream-empty").hidden = stream.children.length > 0;
}

function drawSubscriptions() {
  const items = [];
  for (const [id, { destination, quiet, joined }] of client?.subscriptions ?? []) {
    if (quiet) continue;
    const item = element("li");
    const remove = element("button", "×");
    remove.type = "button";
    remove.setAttribute("aria-label", `Unsubscribe from ${destination}`);
    remove.onclick = () => client.unsubscribe(id);
    item.append(element("span", joined ? destination : `${destination} …`), remove);
    items.push(item);
  }
  $("subscriptions").replaceChildren(...items);
}

function drawOnline(_, body) {
  const users = parse(body);
  if (!Array.isArray(users)) return;
  $("online-count").textContent = `${users.length.toLocaleString()} in the cluster`;
  const shown = users.slice(0, 500).map((user) => {
    const item = element("li", user);
    if (user === credentials?.user) item.className = "self";
    return item;
  });
  if (users.length > shown.length) shown.push(element("li", `… and ${users.length - shown.length} more`));
  $("online").replaceChildren(...shown);
}

const basic = ({ user, password }) =>
  `Basic ${btoa(String.fromCharCode(...encoder.encode(`${user}:${password}`)))}`;

async function publish(form) {
  const { destination, user, payload, key } = form.elements;
  try {
    JSON.parse(payload.value);
  } catch (error) {
    return result("publish-result", `The payload is not JSON: ${error.message}`, "bad");
  }
  // The payload goes out as it was typed: it reaches the subscribers byte for byte.
  const head = { destination: destination.value, ...(user.value ? { user: user.value } : {}) };
  const body = `${JSON.stringify(head).slice(0, -1)},"payload":${payload.value}}`;
  try {
    const response = await fetch(new URL("api/v1/notifications", base), {
      method: "POST",
      credentials: "omit", // else the browser would put up its own dialogue at a 401
      headers: {
        "content-type": "application/json",
        authorization: key.value ? `Bearer ${key.value}` : basic(credentials),
      },
      body,
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return result("publish-result", `${response.status}, id ${answer.id}`, "good");
    const where = answer.pointer ? `${answer.pointer} ` : "";
    result("publish-result", `${response.status} ${answer.title ?? ""}: ${where}${answer.detail ?? ""}`, "bad");
  } catch {
    result("publish-result", "Herald cannot be reached.", "bad");
  }
}

function on(form, handler) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    handler(event.target);
  });
}

on("login-form", (form) => {
  client?.stop();
  connect(form.elements.user.value, form.elements.password.value);
  form.elements.password.value = "";
});
on("subscribe-form", (form) => {
  notice();
  watch(form.elements.destination.value.trim());
  form.elements.destination.value = "";
});
on("chat-form", (form) => {
  const field = form.elements.message;
  const sent = client.send(`${settings.applicationPrefix}/message`, field.value, () =>
    result("chat-result", "Sent.", "good"));
  result("chat-result", sent ? "Sending…" : "Not connected.", sent ? "" : "bad");
  if (sent) field.value = "";
});
on("publish-form", publish);

$("logout").onclick = () => {
  client.stop();
  client = null;
  credentials = null;
  setState("off", "Not connected");
  notice();
  drawSubscriptions();
  $("online").replaceChildren();
  $("online-count").textContent = "";
  show(false);
};
$("clear").onclick = () => {
  $("stream").replaceChildren();
  received = 0;
  drawStream();
};

$("chat-destination").textContent = `${settings.applicationPrefix}/message`;
$("publish-form").elements.destination.value = `${settings.broadcastPrefix}/message`;
$("publish-form").elements.payload.value = '{"message": "hello", "user": "page", "time": "now"}';
for (const prefix of [settings.broadcastPrefix, settings.userPrefix + settings.broadcastPrefix]) {
  for (const name of ["message", "orders"]) {
    const option = document.createElement("option");
    option.value = `${prefix}/${name}`;
    $("suggestions").append(option);
  }
}
setState("off", "Not connected");
