/** A trace's id, with the way to its page where the configuration knows one (`http.trace_url`). */

import { type Settings, traceAddress } from './settings';

export function TraceLink({ settings, traceId }: { settings: Settings; traceId: string }) {
  const address = traceAddress(settings, traceId);
  const short = traceId.slice(0, 8);
  if (!address) return <span title={traceId}>trace {short}</span>;
  return (
    <a href={address} target="_blank" rel="noreferrer" title={traceId}>
      trace {short}
      <span aria-hidden="true">&nbsp;↗</span>
    </a>
  );
}
