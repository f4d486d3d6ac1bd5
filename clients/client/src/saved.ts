/** Positions that outlive a reload of the page, in the browser's sessionStorage. Knows no connection. */

export class SavedPositions {
  readonly #key: string;
  #before: Record<string, string>;

  /** `key` tells servers and users apart. */
  constructor(key: string) {
    this.#key = `herald ${key}`;
    this.#before = this.#read();
  }

  /** The position under `name` before the reload. It is given once. */
  take(name: string): string | undefined {
    const position = this.#before[name];
    delete this.#before[name];
    return position;
  }

  /** It was not used: somebody else may take it. */
  giveBack(name: string, position: string): void {
    this.#before[name] = position;
  }

  /** Takes the place of all that was saved. */
  save(positions: Record<string, string>): void {
    try {
      sessionStorage.setItem(this.#key, JSON.stringify(positions));
    } catch {
      // Storage is full or forbidden: after the reload the page begins anew.
    }
  }

  #read(): Record<string, string> {
    try {
      const saved: unknown = JSON.parse(sessionStorage.getItem(this.#key) ?? '{}');
      const entries = Object.entries(saved ?? {}).filter(([, position]) => typeof position === 'string');
      return Object.fromEntries(entries);
    } catch {
      return {};
    }
  }
}
