/** When a browser's network or the page itself goes or comes back. Knows no connection; outside browsers it is silent. */

export interface Wake {
  /** The browser has a network again; `changed` if it had said before that it has none. */
  onOnline: (changed: boolean) => void;
  /** The page is seen again, maybe after a sleep. */
  onVisible: () => void;
  /** The page goes, perhaps to be loaded anew. */
  onHide: () => void;
}

/** Tells of them until the function that this returns is called. */
export function watchWake({ onOnline, onVisible, onHide }: Wake): () => void {
  if (typeof window === 'undefined' || typeof document === 'undefined') return () => {};
  let offline = false;
  const events: [EventTarget, string, () => void][] = [
    [window, 'pagehide', onHide],
    [
      window,
      'offline',
      () => {
        offline = true;
      },
    ],
    [
      window,
      'online',
      () => {
        onOnline(offline);
        offline = false;
      },
    ],
    [
      document,
      'visibilitychange',
      () => {
        if (document.visibilityState === 'visible') onVisible();
      },
    ],
  ];
  for (const [target, name, listener] of events) target.addEventListener(name, listener);
  return () => {
    for (const [target, name, listener] of events) target.removeEventListener(name, listener);
  };
}

/** The longest silence of a connection that lives, by the heart-beats that the server offers and the client wants; 0 without. */
export function longestSilenceMs(offered: string | undefined, wantedMs: number): number {
  const offeredMs = Number(offered?.split(',')[0]) || 0;
  return offeredMs > 0 && wantedMs > 0 ? 1.5 * Math.max(offeredMs, wantedMs) : 0;
}
