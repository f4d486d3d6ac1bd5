// The network between a client and Herald, for tests of what happens when it fails. Knows no protocol.

import net from 'node:net';

/** A port of its own that leads to `port`, until it is cut or swallows what it is given. */
export class Way {
  #pairs = new Set();
  #isCut = false;

  static async start(t, port) {
    const way = new Way();
    const server = net.createServer((near) => way.#lead(near, port));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    way.port = server.address().port;
    t.after(() => {
      way.cut();
      server.close();
    });
    return way;
  }

  get http() {
    return `http://127.0.0.1:${this.port}`;
  }

  get ws() {
    return `ws://127.0.0.1:${this.port}/ws`;
  }

  /** Every connection ends, and none comes about until it is mended. */
  cut() {
    this.#isCut = true;
    for (const { near } of this.#pairs) near.destroy();
  }

  mend() {
    this.#isCut = false;
  }

  /** Nothing passes over the connections that stand, and neither side hears of it: a proxy that has lost its state. */
  swallow() {
    for (const { near, far } of this.#pairs) {
      for (const [socket, other] of [[near, far], [far, near]]) {
        socket.unpipe(other);
        socket.resume();
      }
    }
  }

  #lead(near, port) {
    if (this.#isCut) return near.destroy();
    const far = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const pair = { near, far };
    this.#pairs.add(pair);
    for (const [socket, other] of [[near, far], [far, near]]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#pairs.delete(pair);
        other.destroy();
      });
      socket.pipe(other);
    }
  }
}
