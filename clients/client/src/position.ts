/** How far one subscription has come: what it sends as `last-message-id` when it subscribes again. Knows no connection. */

/** The `ack` header of SUBSCRIBE. */
export type AckMode = 'auto' | 'client' | 'client-individual';

/**
 * Herald's rule: the position is what the last frame said, the RECEIPT's `position` or a MESSAGE's `message-id`. Where
 * MESSAGEs are acknowledged it is in front of the oldest that has not been: that one comes again.
 */
export class Position {
  readonly #mode: AckMode;
  #at?: string;
  /** MESSAGEs that are not acknowledged, oldest first. The server's window bounds them. */
  #open: { id: string; handled: boolean }[] = [];

  constructor(mode: AckMode = 'auto') {
    this.#mode = mode;
  }

  /** `undefined` while there is nothing to resume from: never subscribed, or not kept by the server. */
  get at(): string | undefined {
    return this.#at;
  }

  /** Whether a MESSAGE waits for its acknowledgement. */
  get isOpen(): boolean {
    return this.#open.length > 0;
  }

  /** The subscription begins (again), at the RECEIPT's `position`. */
  begin(position: string | undefined): void {
    this.#at = position;
    this.#open = [];
  }

  /** A MESSAGE was handed over. */
  received(id: string): void {
    if (this.#at === undefined) return;
    if (this.#mode === 'auto') this.#at = id;
    else this.#open.push({ id, handled: false });
  }

  /** An ACK or NACK was given: with `client` it is for all up to this one. */
  handled(id: string): void {
    const index = this.#open.findIndex((message) => message.id === id);
    if (index < 0) return;
    const first = this.#mode === 'client' ? 0 : index;
    for (const message of this.#open.slice(first, index + 1)) message.handled = true;
    const left = this.#open.findIndex((message) => !message.handled);
    const done = this.#open.splice(0, left < 0 ? this.#open.length : left);
    this.#at = done.at(-1)?.id ?? this.#at;
  }
}
