/** A fake server for each test of the file that imports this, and a clock that moves only when the test says. */

import { afterEach, beforeEach, vi } from 'vitest';
import { FakeServer } from '../src/testing.js';

export let server: FakeServer;
beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer().install();
});
afterEach(() => {
  server.uninstall();
  vi.useRealTimers();
});
