// Ports for programs that are told where to listen. Knows no program and no package.

import net from 'node:net';

/** Below those that the kernel hands out by itself, to whoever listens on port 0 or connects: between a choice and its use, and
 *  between two starts of a program, nobody else gets it. scripts/cluster takes its free ports from 20000 on. */
const FIRST = 10_000;
const COUNT = 10_000;

// Other processes begin elsewhere.
let next = Math.floor(Math.random() * COUNT);

const isFree = (port) =>
  new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });

/** A port on which nothing listens, never twice in one process. */
export async function freePort() {
  for (;;) {
    const port = FIRST + (next++ % COUNT);
    if (await isFree(port)) return port;
  }
}
