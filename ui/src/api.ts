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

/** Who asks, and what that user may do. */
export interface Me {
  kind: 'user' | 'key' | 'certificate';
  name: string;
  scopes: ('publish' | 'read' | 'metrics' | 'admin')[];
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

export interface Instances {
  instances: InstanceDescription[];
  silent: string[];
}

/** One instance; what is absent, it did not say in time. */
export interface InstanceDescription {
  name: string;
  id: string;
  own: boolean;
  users: number;
  version?: string;
  sessions?: number;
  subscriptions?: number;
  outbox_bytes?: number;
}

export interface Explanation {
  destination: string;
  reached_count: number;
  reached: { session: string; user: string; instance: string; subscription?: string; way: string }[];
  missed_count: number;
  missed: { session: string; user: string; instance: string; why: string }[];
  silent: string[];
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
    /** The user's. */
    private authorization: () => Promise<string>,
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

  async me(): Promise<Me> {
    return (await this.request('api/v1/me')).json();
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

  async instances(): Promise<Instances> {
    return (await this.request('api/v1/instances')).json();
  }

  /** Who would get a notification; an empty `user` is everyone. */
  async explain({ destination, user }: Pick<Notification, 'destination' | 'user'>): Promise<Explanation> {
    const question = new URLSearchParams({ destination, ...(user ? { user } : {}) });
    return (await this.request(`api/v1/explain?${question}`)).json();
  }

  async request(path: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(new URL(path, this.base), {
        ...init,
        credentials: 'omit', // else the browser would put up its own dialogue at a 401
        headers: { authorization: await this.authorization(), ...init.headers },
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
