/** The wait before an attempt, which may be cut short. Knows no connection. */

export class Wait {
  #end?: () => void;
  #skipsNext = false;

  /** Returns after `ms`, or as soon as it is ended. */
  async sleep(ms: number): Promise<void> {
    if (this.#skipsNext) {
      this.#skipsNext = false;
      return;
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#end = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#end = undefined;
  }

  /** Ends the wait that is under way, if one is. */
  readonly end = (): void => this.#end?.();

  /** The next wait is none. */
  skipNext(): void {
    this.#skipsNext = true;
  }
}
