/** The bar at the top: the name, where the connection stands, the choice of colours. */

import { ActionIcon, useComputedColorScheme, useMantineColorScheme } from '@mantine/core';
import type { ReactNode } from 'react';

export type BarState = 'off' | 'wait' | 'on' | 'bad';

interface Props {
  version: string;
  state: BarState;
  text: string;
  /** After the text, for the eye alone: it changes too often to be read out. */
  countdown?: string;
  views?: ReactNode;
  children?: ReactNode;
}

export function Bar({ version, state, text, countdown, views, children }: Props) {
  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <header className="bar" data-out={views ? undefined : true}>
        <div className="brand">
          <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="8" fill="#4f46e5" />
            <path d="M9 8v16M23 8v16M9 16h14" stroke="#fff" strokeWidth="3.5" strokeLinecap="round" />
          </svg>
          <h1>Herald</h1>
          <small>{version}</small>
        </div>
        {views}
        <span className="gap" />
        <p className="state" id="state" data-state={state} role="status">
          <span className="dot" aria-hidden="true" />
          <span>
            {text}
            {countdown && <span aria-hidden="true">{countdown}</span>}
          </span>
        </p>
        <ColorSwitch />
        {children}
      </header>
    </>
  );
}

function ColorSwitch() {
  const { setColorScheme } = useMantineColorScheme();
  const dark = useComputedColorScheme('light') === 'dark';
  const words = dark ? 'Light colours' : 'Dark colours';
  return (
    <ActionIcon
      variant="default"
      size={34}
      title={words}
      aria-label={words}
      onClick={() => setColorScheme(dark ? 'light' : 'dark')}
    >
      <svg
        width="18"
        height="18"
        viewBox="0 0 24 24"
        aria-hidden="true"
        fill="none"
        stroke="currentColor"
        strokeWidth="2"
      >
        {dark ? (
          <>
            <circle cx="12" cy="12" r="4.5" />
            <path d="M12 2v2.5M12 19.5V22M2 12h2.5M19.5 12H22M5 5l1.7 1.7M17.3 17.3 19 19M5 19l1.7-1.7M17.3 6.7 19 5" />
          </>
        ) : (
          <path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z" strokeLinejoin="round" />
        )}
      </svg>
    </ActionIcon>
  );
}
