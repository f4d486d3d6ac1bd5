// The bell in plain JavaScript. @herald/client reconnects, resumes and renews by itself.

import { HeraldConnection } from '@herald/client';
import { ring, say } from './view.js';

const herald = new HeraldConnection({
  url: `ws://${location.host}/ws`,
  user: 'test1',
  password: 'test',
  // Called if something was missed and will not come any more: fetch the list from your backend.
  onGap: () => ring({ text: 'Something was missed: reload' }),
});
herald.subscribe('/user/queue/bell', (message) => ring(JSON.parse(message.body)));
herald.listen(() => {
  const { status, instance, problem } = herald.state();
  say(problem ?? `${status} ${instance ?? ''}`);
});
herald.start();
