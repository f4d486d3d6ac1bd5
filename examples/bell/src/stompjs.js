// The bell with stompjs alone: the page has to keep its position and to choose its waits itself.

import { Client } from '@stomp/stompjs';
import { ring, say } from './view.js';

const DESTINATION = '/user/queue/bell';

/** Where the last connection got to: the `position` of the RECEIPT, then the `message-id` of each MESSAGE. */
let position = '';
let attempt = 0;

let tryNow = () => {};
/** Ends by itself, or by `tryNow`. @param {number} ms @returns {Promise<void>} */
const sleep = (ms) =>
  new Promise((done) => {
    tryNow = done;
    setTimeout(done, ms);
  });

const client = new Client({
  brokerURL: `ws://${location.host}/ws`,
  connectHeaders: { 'X-Authorization': btoa('test1:test') },
  discardWebsocketOnCommFailure: true,
  connectionTimeout: 10_000,
  // stompjs would wait equally long in every page, and all pages would come back at once.
  reconnectDelay: 1,
  beforeConnect: () => sleep(attempt === 0 ? 0 : Math.random() * Math.min(30_000, 500 * 2 ** attempt)),
  onConnect: ({ headers }) => {
    attempt = 0;
    say(`connected ${headers.instance}`);
    const resumes = position !== '';
    client.watchForReceipt('bell', (receipt) => {
      if (resumes && receipt.headers.recovered !== 'true') ring({ text: 'Something was missed: reload' });
      position = receipt.headers.position ?? '';
    });
    client.subscribe(
      DESTINATION,
      (message) => {
        position = message.headers['message-id'] ?? '';
        ring(JSON.parse(message.body));
      },
      { receipt: 'bell', ...(resumes && { 'last-message-id': position }) },
    );
  },
  onStompError: ({ headers }) => say(headers.message ?? 'refused'),
  onWebSocketClose: ({ code }) => {
    attempt += 1;
    // Login refused, ended by an operator, replaced by a newer session: trying again is no use. With tokens, come back after a
    // 4401 whose ERROR had `herald-reason:token-expired` (README.md, "In the browser").
    if ([4401, 4403, 4409].includes(code)) client.deactivate();
    else say('reconnecting');
  },
});
// Back online: a connection that stood before is most likely dead. The page is seen again: do not wait any longer.
addEventListener('online', () => (client.connected ? client.forceDisconnect() : tryNow()));
document.addEventListener('visibilitychange', () => tryNow());
client.activate();
