/** Herald's REST interface as the page uses it. Knows no component. */

export interface Credentials {
  user: string;
  password: string;
}

/** A refused or failed request, in words for people. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** 0: Herald was not reached. */
    readonly status: number,
  ) {
    super(message);
  }
}

export interface Accepted {
  id: string;
  trace_id?: string;
}

export interface UserSession {
  session: string;
  instance: string;
  instance_id: string;
  since: string;
  address: string;
  subscriptions: string[];
}

export interface UserSessions {
  user: string;
  online: boolean;
  sessions: UserSession[];
  silent: string[];
  truncated: string[];
}

export interface Notification {
  destination: string;
  /** Empty: everyone. */
  user: string;
  /** JSON text; goes out as it was typed, and reaches the subscribers byte for byte. */
  payload: string;
}

export const basic = ({ user, password }: Credentials): string =>
  `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${user}:${password}`)))}`;

export class Api {
  constructor(
    private base: string,
    private credentials: Credentials,
  ) {}

  /** An `apiKey` takes the place of the user's password. */
  async publish({ destination, user, payload }: Notification, apiKey = ''): Promise<Accepted> {
    const head = JSON.stringify({ destination, ...(user ? { user } : {}) });
    const body = `${head.slice(0, -1)},"payload":${payload}}`;
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (apiKey) headers.authorization = `Bearer ${apiKey}`;
    const answer = await this.request('api/v1/notifications', { method: 'POST', headers, body });
    return answer.json();
  }

  async users(): Promise<string[]> {
    return (await (await this.request('api/v1/users')).json()).users;
  }

  async sessions(user: string): Promise<UserSessions> {
    return (await this.request(`api/v1/users/${encodeURIComponent(user)}`)).json();
  }

  async disconnect(user: string): Promise<void> {
    await this.request(`api/v1/users/${encodeURIComponent(user)}/sessions`, { method: 'DELETE' });
  }

  async metrics(): Promise<string> {
    return (await this.request('metrics')).text();
  }

  /** Whether this Herald has a route, by its own description. */
  async has(path: string): Promise<boolean> {
    const description = await (await this.request('api/openapi.json')).json();
    return Object.keys(description.paths ?? {}).some((known) => known.endsWith(path));
  }

  async get<T>(path: string): Promise<T> {
    return (await this.request(path)).json();
  }

  async request(path: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(new URL(path, this.base), {
        ...init,
        credentials: 'omit', // else the browser would put up its own dialogue at a 401
        headers: { authorization: basic(this.credentials), ...init.headers },
        signal: AbortSignal.timeout(10_000),
      });
    } catch {
      throw new ApiError('Herald cannot be reached.', 0);
    }
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    const where = problem.pointer ? `${problem.pointer} ` : '';
    throw new ApiError(`${answer.status} ${problem.title ?? ''}: ${where}${problem.detail ?? ''}`, answer.status);
  }
}
