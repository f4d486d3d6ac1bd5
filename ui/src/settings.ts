/** What Herald tells the page of its configuration: attributes of <body>, filled in when the page is served. */

import type { OidcSettings } from './oidc';

export interface Settings {
  wsUrl: string;
  /** Where the page's own address ends in a slash: REST paths are relative to it. */
  base: string;
  userPrefix: string;
  applicationPrefix: string;
  /** The first of them. */
  broadcastPrefix: string;
  broadcastPrefixes: string[];
  listDestination: string;
  /** With `{trace_id}` in it; empty: traces have no page. */
  traceUrl: string;
  /** Where users sign in, if not with a password alone. */
  oidc?: OidcSettings;
  version: string;
}

/** Reads them. On the development server nobody fills in the braces: Herald's defaults then. */
export function readSettings(data: DOMStringMap, location: Pick<Location, 'href' | 'protocol'>): Settings {
  const value = (name: string, other: string) => {
    const text = data[name] ?? other;
    return text.startsWith('{{') ? other : text;
  };
  const base = new URL('.', location.href);
  const ws = new URL(value('wsPath', '/ws').replace(/^\//, ''), base);
  const issuer = value('oidcIssuer', '');
  const oidc = issuer && {
    issuer,
    clientId: value('oidcClientId', ''),
    scopes: value('oidcScopes', 'openid'),
    audience: value('oidcAudience', ''),
  };
  ws.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  const prefixes = value('broadcastPrefixes', '/queue /topic').split(' ').filter(Boolean);
  return {
    wsUrl: ws.href,
    base: base.href,
    userPrefix: value('userPrefix', '/user'),
    applicationPrefix: value('applicationPrefix', '/app'),
    broadcastPrefix: prefixes[0] ?? '',
    broadcastPrefixes: prefixes,
    listDestination: value('listDestination', '/queue/users'),
    traceUrl: value('traceUrl', ''),
    ...(oidc && { oidc }),
    version: value('version', 'dev'),
  };
}

/** The address of a trace's page, if there is one. */
export function traceAddress({ traceUrl }: Pick<Settings, 'traceUrl'>, traceId: string): string | undefined {
  return traceUrl ? traceUrl.replace('{trace_id}', encodeURIComponent(traceId)) : undefined;
}
