// Builds the page into ui/dist, from where Herald's build takes it. `npm run dev -w ui` serves it with a Herald on 8080.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const herald = process.env.HERALD_URL ?? 'http://127.0.0.1:8080';
const source = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** Puts a `.br` beside every asset: compressed once here, not at each request. */
function brotli(): Plugin {
  return {
    name: 'brotli',
    apply: 'build',
    writeBundle({ dir = '' }, bundle) {
      for (const name of Object.keys(bundle).filter((name) => name.startsWith('assets/'))) {
        const file = path.join(dir, name);
        const content = readFileSync(file);
        writeFileSync(
          `${file}.br`,
          brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: content.length } }),
        );
      }
    },
  };
}

export default defineConfig({
  // Relative: the page works below any `http.base_path`.
  base: './',
  plugins: [react(), brotli()],
  resolve: {
    alias: {
      '@herald/client': source('../clients/client/src/index.ts'),
      '@herald/react': source('../clients/react/src/index.ts'),
    },
  },
  build: {
    target: 'es2022',
    // Inlined assets would be `data:` URLs, which the Content-Security-Policy allows for images alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    // The page, and the REST interface at /docs.
    rolldownOptions: { input: [source('index.html'), source('docs.html')] },
  },
  server: {
    proxy: {
      '/api': herald,
      '/metrics': herald,
      '/ws': { target: herald, ws: true },
    },
  },
});
