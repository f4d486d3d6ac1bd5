/**
 * A server for tests of pages: STOMP behind a WebSocket of its own make, with positions and resume as Herald has them, and
 * losses when the test says so. Knows no test runner and no Herald.
 */

import { FrameImpl } from '@stomp/stompjs';

/** A frame that a client has sent. */
export interface Frame {
  command: string;
  headers: Record<string, string>;
  body: string;
}

/** The server's end of one WebSocket. It has what stompjs uses of one. */
export class FakeSocket {
  readonly url: string;
  readyState = 0;
  binaryType = 'arraybuffer';
  protocol = 'v12.stomp';
  /** All that the client has sent. */
  readonly frames: Frame[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: (event: { code: number; reason: string; wasClean: boolean }) => void;
  onerror?: (event: unknown) => void;
  readonly #server: FakeServer;

  constructor(url: string, server: FakeServer) {
    this.url = url;
    this.#server = server;
    server.sockets.push(this);
    queueMicrotask(() => {
      if (server.down) return this.end(1006);
      this.readyState = 1;
      this.onopen?.();
    });
  }

  send(data: string | Uint8Array): void {
    const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
    const at = text.indexOf('\n\n');
    if (at < 0) return;
    const [command = '', ...lines] = text.slice(0, at).split('\n');
    const headers = Object.fromEntries(lines.map((line) => line.split(/:(.*)/s).slice(0, 2).map(unescaped)));
    const frame = { command, headers, body: text.slice(at + 2).replace(/\0$/, '') };
    this.frames.push(frame);
    // Not in the middle of what the client is doing: a real server is never that quick.
    queueMicrotask(() => this.#server.answer(this, frame));
  }

  /** The client closes. */
  close(): void {
    queueMicrotask(() => this.end(1000));
  }

  /** The server writes a frame. */
  write(command: string, headers: Record<string, string>, body = ''): void {
    if (this.readyState !== 1) return;
    this.onmessage?.({ data: `${FrameImpl.marshall({ command, headers, body, escapeHeaderValues: true })}` });
  }

  /** The connection ends, by whomever. */
  end(code: number, reason = ''): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code, reason, wasClean: code !== 1006 });
  }

  /** Destinations of the SUBSCRIBEs, in order. */
  get subscribed(): string[] {
    return this.frames.filter(({ command }) => command === 'SUBSCRIBE').map(({ headers }) => headers.destination ?? '');
  }

  /** The headers of the SUBSCRIBEs that stand. */
  get subscriptions(): Record<string, string>[] {
    const standing = new Map<string, Record<string, string>>();
    for (const { command, headers } of this.frames) {
      if (command === 'SUBSCRIBE') standing.set(headers.id ?? '', headers);
      if (command === 'UNSUBSCRIBE') standing.delete(headers.id ?? '');
    }
    return [...standing.values()];
  }
}

interface Kept {
  sequence: number;
  destination: string;
  headers: Record<string, string>;
  body: string;
}

/** Takes every login with {@link password} or {@link token}, and every subscription, until told otherwise. */
export class FakeServer {
  /** Every connection there was, the newest last. */
  readonly sockets: FakeSocket[] = [];
  /** No new connection comes about. */
  down = false;
  password = 'test';
  token = 'token';
  /** Sessions end in so many ms, unless they are renewed: said, and not done ({@link expireTokens} does it). */
  expiresInMs?: number;
  /** A destination that may not be subscribed or sent to. */
  refuses?: string;
  /** The next resumes are answered with `recovered:false` and this. */
  gap?: string;
  /** Whether the history keeps a destination. */
  keeps: (destination: string) => boolean = () => true;
  #epoch = 1;
  #sequence = 0;
  #history: Kept[] = [];
  #uninstall?: () => void;

  /** For {@link HeraldOptions}'s `webSocket`. */
  readonly webSocket = (url: string): WebSocket => new FakeSocket(url, this) as unknown as WebSocket;

  /** Takes the place of the global `WebSocket`. */
  install(): this {
    const server = this;
    const before = Object.getOwnPropertyDescriptor(globalThis, 'WebSocket');
    const value = class extends FakeSocket {
      constructor(url: string) {
        super(url, server);
      }
    };
    Object.defineProperty(globalThis, 'WebSocket', { value, configurable: true, writable: true });
    this.#uninstall = () => {
      if (before) Object.defineProperty(globalThis, 'WebSocket', before);
      else Reflect.deleteProperty(globalThis, 'WebSocket');
    };
    return this;
  }

  /** Gives the global `WebSocket` its place back. */
  uninstall(): void {
    this.#uninstall?.();
    this.#uninstall = undefined;
  }

  /** The newest connection. */
  get last(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('nobody has connected');
    return socket;
  }

  /** All that was sent to application destinations, in order. */
  get sent(): Frame[] {
    return this.sockets.flatMap(({ frames }) => frames.filter(({ command }) => command === 'SEND'));
  }

  /** A notification: to all who are subscribed to `destination`, and into the history. Returns its position. */
  publish(destination: string, body: string, headers: Record<string, string> = {}): string {
    this.#sequence += 1;
    const kept = { sequence: this.#sequence, destination, headers, body };
    if (this.keeps(destination)) this.#history.push(kept);
    for (const socket of this.sockets) {
      if (socket.readyState !== 1) continue;
      for (const subscription of socket.subscriptions) {
        if (subscription.destination === destination) this.#message(socket, subscription, kept);
      }
    }
    return this.#position(kept.sequence);
  }

  /** All connections are lost. */
  drop(code = 1006, reason = ''): void {
    for (const socket of this.sockets) socket.end(code, reason);
  }

  /** All connections are lost, and the history with them: no position holds any more. */
  restart(): void {
    this.#epoch += 1;
    this.#sequence = 0;
    this.#history = [];
    this.drop();
  }

  /** Every session's token has expired. */
  expireTokens(): void {
    for (const socket of this.sockets) {
      socket.write('ERROR', { message: 'token expired', 'herald-reason': 'token-expired' });
      socket.end(4401, 'token expired');
    }
  }

  /** What the server does with a frame; a test may replace it. */
  answer(socket: FakeSocket, { command, headers }: Frame): void {
    const { receipt, destination } = headers;
    if (command === 'CONNECT') this.#connect(socket, headers);
    else if (command === 'SEND' && destination === '/app/herald/auth') this.#renew(socket, headers);
    else if (destination !== undefined && destination === this.refuses) {
      this.#refuse(socket, `${destination}: no such prefix`, 1008, receipt);
    } else if (command === 'SUBSCRIBE') this.#subscribe(socket, headers);
    else if (receipt !== undefined) socket.write('RECEIPT', { 'receipt-id': receipt });
    if (command === 'DISCONNECT') socket.end(1000);
  }

  /** As Herald does it: what it refuses gets no RECEIPT. */
  #renew(socket: FakeSocket, headers: Record<string, string>): void {
    if (!this.#knows(headers)) return;
    socket.write('RECEIPT', { 'receipt-id': headers.receipt ?? '', ...this.#expiresIn() });
  }

  #knows({ Authorization, passcode }: Record<string, string>): boolean {
    return Authorization === `Bearer ${this.token}` || passcode === this.password;
  }

  #expiresIn(): Record<string, string> {
    return this.expiresInMs === undefined ? {} : { 'expires-in': `${this.expiresInMs}` };
  }

  #connect(socket: FakeSocket, headers: Record<string, string>): void {
    if (!this.#knows(headers)) {
      this.#refuse(socket, 'authentication failed', 4401);
      return;
    }
    const session = `s${this.sockets.length}`;
    socket.write('CONNECTED', {
      version: '1.2',
      instance: 'one',
      session,
      'user-name': headers.login ?? 'somebody',
      'heart-beat': '0,0',
      ...this.#expiresIn(),
    });
  }

  #refuse(socket: FakeSocket, message: string, code: number, receipt?: string): void {
    socket.write('ERROR', { message, ...(receipt !== undefined && { 'receipt-id': receipt }) });
    socket.end(code, message);
  }

  #subscribe(socket: FakeSocket, headers: Record<string, string>): void {
    const { receipt, destination = '', 'last-message-id': from } = headers;
    const after = from === undefined ? undefined : this.#sequenceOf(from);
    const isKept = this.keeps(destination);
    let replay: Kept[] = [];
    let reason = isKept ? this.gap : 'history-off';
    if (from !== undefined && after === undefined) reason ??= 'epoch-changed';
    if (after !== undefined && reason === undefined) {
      replay = this.#history.filter((kept) => kept.destination === destination && kept.sequence > after);
    }
    const position = replay.length > 0 && after !== undefined ? this.#position(after) : this.#position(this.#sequence);
    const outcome: Record<string, string> =
      reason === undefined ? { recovered: 'true', replayed: `${replay.length}` } : { recovered: 'false', reason };
    if (receipt !== undefined) {
      socket.write('RECEIPT', {
        'receipt-id': receipt,
        ...(isKept && { position }),
        ...(from !== undefined && outcome),
      });
    }
    for (const kept of replay) this.#message(socket, headers, kept);
  }

  #message(
    socket: FakeSocket,
    subscription: Record<string, string>,
    { sequence, destination, headers, body }: Kept,
  ): void {
    const id = subscription.id ?? '';
    const acknowledged = (subscription.ack ?? 'auto') !== 'auto';
    socket.write(
      'MESSAGE',
      {
        subscription: id,
        destination,
        'message-id': this.keeps(destination) ? this.#position(sequence) : `id${sequence}`,
        ...(acknowledged && { ack: `${id}/${sequence}` }),
        ...headers,
      },
      body,
    );
  }

  #position(sequence: number): string {
    return `${this.#epoch}-${sequence}`;
  }

  /** The sequence of a position of this epoch. */
  #sequenceOf(position: string): number | undefined {
    const [, epoch, sequence] = position.match(/^(\d+)-(\d+)(?:\.\d+)?$/) ?? [];
    return Number(epoch) === this.#epoch && Number(sequence) <= this.#sequence ? Number(sequence) : undefined;
  }
}

function unescaped(text: string): string {
  const plain: Record<string, string> = { '\\n': '\n', '\\r': '\r', '\\c': ':', '\\\\': '\\' };
  return text.replace(/\\[nrc\\]/g, (sequence) => plain[sequence] ?? sequence);
}
