/** A STOMP server inside the test, behind a WebSocket of its own make: for the hooks' tests, and for those of pages that are made
 *  with them. Knows no Herald: each test says what it answers. */

import { FrameImpl } from '@stomp/stompjs';
import { afterEach, beforeEach, vi } from 'vitest';

export interface Frame {
  command: string;
  headers: Record<string, string>;
  body: string;
}

/** The server's end of one WebSocket. */
export class ServerSocket {
  static OPEN = 1;
  readyState = 0;
  binaryType = 'arraybuffer';
  protocol = 'v12.stomp';
  frames: Frame[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: (event: { code: number; reason: string; wasClean: boolean }) => void;
  onerror?: (event: unknown) => void;

  constructor(
    readonly url: string,
    private server: StompServer,
  ) {
    server.sockets.push(this);
    queueMicrotask(() => {
      if (server.down) return this.end(1006);
      this.readyState = 1;
      this.onopen?.();
    });
  }

  send(text: string) {
    const at = text.indexOf('\n\n');
    if (at < 0) return;
    const [command = '', ...lines] = text.slice(0, at).split('\n');
    const headers = Object.fromEntries(lines.map((line) => line.split(/:(.*)/).slice(0, 2)));
    const frame = { command, headers, body: text.slice(at + 2).replace(/\0$/, '') };
    this.frames.push(frame);
    // Not in the middle of what the client is doing: a real server is never that quick.
    queueMicrotask(() => this.server.answer(this, frame));
  }

  /** The client closes. */
  close() {
    queueMicrotask(() => this.end(1000));
  }

  /** The server writes a frame. */
  write(command: string, headers: Record<string, string>, body = '') {
    this.onmessage?.({ data: `${FrameImpl.marshall({ command, headers, body })}` });
  }

  /** The connection ends, by whomever. */
  end(code: number, reason = '') {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code, reason, wasClean: code !== 1006 });
  }

  /** Destinations of the SUBSCRIBEs, in order. */
  get subscribed() {
    return this.frames.filter((frame) => frame.command === 'SUBSCRIBE').map((frame) => frame.headers.destination);
  }
}

/** Takes every login and subscription until told otherwise. */
export class StompServer {
  sockets: ServerSocket[] = [];
  down = false;
  password = 'test';
  refuses?: string;

  /** Puts itself into the place of the browser's WebSocket. */
  install(): this {
    const server = this;
    vi.stubGlobal(
      'WebSocket',
      class extends ServerSocket {
        constructor(url: string) {
          super(url, server);
        }
      },
    );
    return this;
  }

  get last(): ServerSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('nobody has connected');
    return socket;
  }

  answer(socket: ServerSocket, { command, headers }: Frame) {
    const refuse = (message: string, code: number) => {
      socket.write('ERROR', { message });
      socket.end(code, message);
    };
    if (command === 'CONNECT') {
      if (headers.passcode !== this.password) return refuse('authentication failed', 4401);
      const session = `s${this.sockets.length}`;
      return socket.write('CONNECTED', { version: '1.2', instance: 'one', session, 'heart-beat': '0,0' });
    }
    if (headers.destination && headers.destination === this.refuses) {
      return refuse(`${headers.destination}: no such prefix`, 1008);
    }
    if (headers.receipt) socket.write('RECEIPT', { 'receipt-id': headers.receipt });
    if (command === 'DISCONNECT') socket.end(1000);
  }

  /** A MESSAGE to the subscription of `destination`. */
  message(destination: string, body: string) {
    const wanted = this.last.frames.find(
      (frame) => frame.command === 'SUBSCRIBE' && frame.headers.destination === destination,
    );
    if (!wanted) throw new Error(`nobody subscribes to ${destination}`);
    this.last.write('MESSAGE', { subscription: wanted.headers.id ?? '', 'message-id': '1', destination }, body);
  }
}

/** The server of each test in the file that imports it, a new one every time, and a clock that moves only when the test says. */
export let server: StompServer;
beforeEach(() => {
  vi.useFakeTimers();
  server = new StompServer().install();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});
