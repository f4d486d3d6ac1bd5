// Serves the bells, and passes /ws on to Herald, as the web server in front of your own application does.

import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export default defineConfig({
  root: file('.'),
  plugins: [react()],
  resolve: {
    // In an application of your own these are packages (clients/client/README.md, "Install").
    alias: {
      '@herald/client': file('../../clients/client/src/index.ts'),
      '@herald/react': file('../../clients/react/src/index.ts'),
    },
  },
  build: {
    rollupOptions: { input: ['index.html', 'plain.html', 'stompjs.html', 'react.html'].map(file) },
  },
  server: {
    host: '127.0.0.1',
    port: Number(process.env.PORT ?? 5173),
    strictPort: true,
    proxy: { '/ws': { target: process.env.HERALD_URL ?? 'http://127.0.0.1:8080', ws: true } },
  },
});
