/** What an operator sees (ROLE_ADMIN): figures and plots, instances, users and their sessions, the last
 *  notifications, history. */

import { NativeSelect } from '@mantine/core';
import { useMemo, useState } from 'react';
import type { Api } from '../api';
import type { Feed } from '../feed';
import { duration, rate } from '../format';
import type { Settings } from '../settings';
import { History } from './History';
import { Instances } from './Instances';
import { Plot } from './Plot';
import { Recent, type Sent } from './Recent';
import { Send } from './Send';
import { Users } from './Users';
import { useMeter } from './useMeter';

interface Props {
  api: Api;
  settings: Settings;
  user: string;
  feed: Feed;
}

const whole = (value: number | null | undefined) =>
  value === null || value === undefined ? '–' : String(Math.round(value));
/** Sessions are whole: no half ones at the axis. */
const count = (value: number | null | undefined) => (Number.isInteger(value ?? 0.5) ? whole(value) : '');

export function OperatorView({ api, settings, user, feed }: Props) {
  const { points, seen, latencies, cluster, problem } = useMeter(api);
  const [chosen, setChosen] = useState('');
  const [sent, setSent] = useState<Sent[]>([]);
  const latency = latencies.find(({ name }) => name === chosen) ?? latencies[0];
  const plots = useMemo(() => {
    const percentiles = points.map(({ percentiles }) => percentiles.get(latency?.name ?? ''));
    return {
      times: points.map(({ at }) => at),
      sessions: [{ label: 'sessions', values: points.map(({ sessions }) => sessions) }],
      rates: [
        { label: 'in', values: points.map(({ inRate }) => inRate) },
        { label: 'out', values: points.map(({ outRate }) => outRate) },
      ],
      latency: (['p50', 'p95', 'p99'] as const).map((label) => ({
        label,
        values: percentiles.map((values) => values?.[label] ?? null),
      })),
    };
  }, [points, latency]);

  if (problem && (problem.status === 401 || problem.status === 403)) {
    return (
      <section className="card" id="operator" role="tabpanel" aria-labelledby="view-operator">
        <h2>For operators</h2>
        <p>
          {user} no longer has the role <code>ROLE_ADMIN</code>, which this view takes.
        </p>
      </section>
    );
  }
  const last = points.at(-1);
  // Of which instances the rates and latencies are, where that is not all.
  const some = seen.length < (cluster?.instances.length ?? 0);
  const note = some ? `of ${seen.map(({ instance }) => instance).join(', ')}` : undefined;
  const percentiles = latency && last?.percentiles.get(latency.name);
  return (
    <div className="operator" id="operator" role="tabpanel" aria-labelledby="view-operator">
      {problem && (
        <p className="notice" role="alert">
          {problem.status === 404
            ? 'The metrics are on a port of their own (http.admin_listen): no plots here.'
            : `No metrics: ${problem.message}`}
        </p>
      )}
      <dl className="figures" aria-label="Now">
        <Figure name="Sessions" value={whole(last?.sessions)} />
        <Figure name="Notifications in" value={rate(last?.inRate)} />
        <Figure name="Messages out" value={rate(last?.outRate)} />
        <Figure name="Latency, p99" value={duration(percentiles?.p99)} />
        <Figure name="Instances" value={whole(cluster?.instances.length)} />
      </dl>
      <div className="third">
        <Plot title="Sessions" times={plots.times} series={plots.sessions} format={count} filled />
      </div>
      <div className="third">
        <Plot title="Rates" note={note} times={plots.times} series={plots.rates} format={rate} filled />
      </div>
      <div className="third">
        <Plot
          title="Latency"
          note={note}
          times={plots.times}
          series={plots.latency}
          format={duration}
          action={
            <NativeSelect
              aria-label="What is measured"
              size="xs"
              value={latency?.name}
              onChange={(event) => setChosen(event.currentTarget.value)}
              data={latencies.map(({ name, title }) => ({ value: name, label: title }))}
            />
          }
        />
      </div>
      <Instances cluster={cluster} seen={seen} />
      <Users api={api} />
      <Send api={api} settings={settings} onSent={(one) => setSent((all) => [one, ...all].slice(0, 50))} />
      <Recent settings={settings} feed={feed} sent={sent} />
      {seen.some(({ history }) => history.kinds.length > 0) && <History seen={seen} />}
    </div>
  );
}

function Figure({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
