/** A live plot: uPlot in React, in the theme's colours, its newest values as text for those who do not see the lines. */

import { useComputedColorScheme } from '@mantine/core';
import { type ReactNode, useEffect, useRef } from 'react';
import uPlot from 'uplot';

export interface Series {
  label: string;
  values: (number | null)[];
}

interface Props {
  title: string;
  /** Beside the title. */
  note?: string;
  /** Unix seconds. */
  times: number[];
  series: Series[];
  format: (value: number | null | undefined) => string;
  /** Fills the ground below the first line. */
  filled?: boolean;
  action?: ReactNode;
}

/** The plots show as much. */
const SPAN_S = 180;
/** At first, when little is known. */
const LEAST_SPAN_S = 30;

export function Plot({ title, note, times, series, format, filled = false, action }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const scheme = useComputedColorScheme('light');
  const labels = series.map(({ label }) => label).join();
  const formatter = useRef(format);
  formatter.current = format;

  // biome-ignore lint/correctness/useExhaustiveDependencies: another scheme has other colours, read from the style sheet
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(options(element, labels.split(','), filled, formatter), [[]], element);
    plot.current = made;
    const observer = new ResizeObserver(() =>
      made.setSize({ width: element.clientWidth, height: element.clientHeight }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current = null;
      made.destroy();
    };
  }, [labels, filled, scheme]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: a plot made anew wants its data as well
  useEffect(() => {
    plot.current?.setData([times, ...series.map(({ values }) => values)], false);
    const end = times.at(-1) ?? Date.now() / 1000;
    const span = Math.min(SPAN_S, Math.max(LEAST_SPAN_S, end - (times[0] ?? end)));
    plot.current?.setScale('x', { min: end - span, max: end });
  }, [times, series, labels, filled, scheme]);

  const values = series.map(({ label, values }) => ({ label, text: format(values.at(-1)) }));
  return (
    <figure className="card plot">
      <figcaption>
        <h2>
          {title} {note && <small className="muted">{note}</small>}
        </h2>
        {action}
        <ul className="legend">
          {values.map(({ label, text }) => (
            <li key={label}>
              {label} <b>{text}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div
        className="canvas"
        ref={box}
        role="img"
        aria-label={`${title} of the last ${SPAN_S / 60} minutes: now ${values.map(({ label, text }) => `${label} ${text}`).join(', ')}`}
      />
    </figure>
  );
}

function options(
  element: HTMLElement,
  labels: string[],
  filled: boolean,
  format: { current: Props['format'] },
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: color('--mantine-color-dimmed'),
    grid: { stroke: color('--line'), width: 1 },
    ticks: { show: false },
    font: `11px ${getComputedStyle(document.body).fontFamily}`,
  };
  const two = (value: number) => String(value).padStart(2, '0');
  return {
    width: element.clientWidth,
    height: element.clientHeight,
    legend: { show: false },
    cursor: { show: false },
    // To the right half of a time, which may stand under the last point.
    padding: [8, 26, 0, 0],
    // Set with each new point.
    scales: { x: { auto: false }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.15 : 1] } },
    axes: [
      {
        ...axis,
        size: 24,
        values: (_, ticks) =>
          ticks.map((at) => {
            const date = new Date(at * 1000);
            return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
          }),
        space: 90,
      },
      { ...axis, size: 56, values: (_, ticks) => ticks.map((value) => format.current(value)), space: 36 },
    ],
    series: [
      {},
      ...labels.map((label, i) => ({
        label,
        stroke: color(`--series-${i + 1}`),
        width: 2,
        points: { show: false },
        ...(filled && i === 0 ? { fill: color('--fill-1') } : {}),
      })),
    ],
  };
}
