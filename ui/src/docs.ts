// The REST interface to read and to try out, at /docs: Swagger UI over Herald's own document. Knows no route.

import 'swagger-ui-dist/swagger-ui.css';
import './styles/docs.css';
import SwaggerUI from 'swagger-ui-dist/swagger-ui-es-bundle.js';

SwaggerUI({
  dom_id: '#docs',
  // Relative, as all links: it works below any `http.base_path`.
  url: new URL('api/openapi.json', document.baseURI).href,
  deepLinking: true,
  displayRequestDuration: true,
  // Keys and passwords live as long as the page does.
  persistAuthorization: false,
  // Nothing is sent to anybody else.
  validatorUrl: null,
});

/** What Swagger UI leaves without a name, a landmark, a right level or a way for the keyboard: its elements, and what each gets. */
const MISSING: [selector: string, name: string, value: string | ((element: Element) => string)][] = [
  ['select#servers', 'aria-label', 'Server'],
  ['.examples-select-element', 'aria-label', 'Example'],
  ['[data-param-name] :is(select, input, textarea):not([aria-label])', 'aria-label', parameterOf],
  ['textarea.body-param__text', 'aria-label', 'Body'],
  ['.close-modal', 'aria-label', 'Close'],
  ['.auth-btn-wrapper .authorize', 'aria-label', ({ textContent }) => `${textContent}: apply credentials`],
  ['table[role="region"]', 'aria-label', ({ id }) => id.replaceAll('_', ' ')],
  ['.information-container', 'role', 'region'],
  ['.information-container', 'aria-label', 'About'],
  ['.schemes-server-container', 'role', 'region'],
  ['.schemes-server-container', 'aria-label', 'Server and credentials'],
  ['.dialog-ux', 'role', 'dialog'],
  ['.dialog-ux', 'aria-label', 'Credentials'],
  // The title is the first level.
  ['.swagger-ui h3', 'aria-level', '2'],
  ['.swagger-ui h4', 'aria-level', '3'],
  ['.swagger-ui h5', 'aria-level', '4'],
  ['pre.microlight', 'tabindex', '0'],
];

function parameterOf(element: Element): string {
  return element.closest('[data-param-name]')?.getAttribute('data-param-name') ?? 'Parameter';
}

function complete(): void {
  for (const [selector, name, value] of MISSING) {
    for (const element of document.querySelectorAll(selector)) {
      const wanted = typeof value === 'string' ? value : value(element);
      if (element.getAttribute(name) !== wanted) element.setAttribute(name, wanted);
    }
  }
}

// Its elements come and go as the reader opens and closes them: once for each picture of them.
let frame = 0;
new MutationObserver(() => {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(complete);
}).observe(document.body, { childList: true, subtree: true });
