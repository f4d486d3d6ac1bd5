/** Starts the page. */

import '@mantine/core/styles.css';
import 'uplot/dist/uPlot.min.css';
import './styles/theme.css';
import './styles/layout.css';
import { MantineProvider } from '@mantine/core';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import { readSettings } from './settings';
import { theme } from './theme';

async function start(root: HTMLElement) {
  const settings = readSettings(document.body.dataset, location);
  const { oidc, base } = settings;
  // Only where it is needed.
  const provider = oidc && new (await import('./oidc')).Provider(oidc, base);
  const arrival = provider?.arrive();
  createRoot(root).render(
    <StrictMode>
      {/* Without the <style> elements that Mantine would add: the Content-Security-Policy has no place for them. Its variables
          come from its CSS files, ours from theme.css. */}
      <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
        <App settings={settings} provider={provider} arrival={arrival} />
      </MantineProvider>
    </StrictMode>,
  );
}

const root = document.getElementById('root');
if (root) void start(root);
