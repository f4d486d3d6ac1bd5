// The REST interface to read and to try out, at /docs: Swagger UI over Herald's own document. Knows no route.

import 'swagger-ui-dist/swagger-ui.css';
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
