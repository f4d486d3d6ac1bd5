// A publish by NATS as a backend does it, by the protocol's own lines: no library of NATS is needed for one message.

import net from 'node:net';

/** Publishes as the user `backend`; gives what the server says: `+OK`, or an error. */
export function publishByNats(port, subject, payload, password) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), '127.0.0.1');
    let heard = '';
    socket.on('error', reject);
    socket.on('data', (data) => {
      heard += data;
      // One +OK for CONNECT, one for PUB, then the answer to PING.
      if (heard.includes('PONG') || heard.includes('-ERR')) socket.end();
    });
    socket.on('close', () => resolve(heard.split('\r\n').find((line) => line.startsWith('-ERR')) ?? '+OK'));
    const connect = JSON.stringify({ user: 'backend', pass: password, verbose: true, pedantic: false });
    socket.write(`CONNECT ${connect}\r\nPUB ${subject} ${Buffer.byteLength(payload)}\r\n${payload}\r\nPING\r\n`);
  });
}
