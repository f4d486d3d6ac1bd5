// All unit tests of the page and the packages: `scripts/ui`.

import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    alias: {
      '@herald/client': source('clients/client/src/index.ts'),
      '@herald/react': source('clients/react/src/index.ts'),
    },
  },
  test: {
    include: ['{ui,clients/*}/test/**/*.test.{ts,tsx}'],
    environment: 'happy-dom',
    setupFiles: [source('ui/test/setup.ts')],
    restoreMocks: true,
    // The first test of a file renders all of Mantine, on a machine that may be busy with ten other things.
    testTimeout: 60_000,
  },
});
