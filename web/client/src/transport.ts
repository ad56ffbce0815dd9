// One request: its URL, its credentials, and the error that a bad answer is.

import { pause, pauseMs, type ReconnectOptions } from './backoff.js';
import { ConnectionError, DockrionError, errorFor, UnexpectedAnswerError } from './errors.js';

/** A value, or what gives one when a request is made: tokens expire. */
export type Secret = string | (() => string | Promise<string>);

export interface TransportOptions {
  url: string;
  apiKey: Secret | undefined;
  apiKeyHeader: string;
  token: Secret | undefined;
  headers: Record<string, string>;
  fetch: typeof globalThis.fetch;
  reconnect: ReconnectOptions;
}

/** What is told each time before it is waited, and tried again. */
export interface Reconnecting {
  /** 1 for the first try since something came. */
  attempt: number;
  delayMs: number;
  cause: DockrionError;
}

export interface Call {
  method: string;
  path: string;
  query?: Record<string, string | number | undefined>;
  headers?: Record<string, string | undefined>;
  /** Sent as JSON; `undefined` for no body. */
  payload?: unknown;
  signal: AbortSignal;
  onReconnect?: ((reconnecting: Reconnecting) => void) | undefined;
}

// Between us and the server something is down, or the server is.
const AWAY = new Set([408, 502, 503, 504]);
const SHOWN_CHARACTERS = 200;

export class Transport {
  constructor(readonly options: TransportOptions) {}

  /** Return a good answer; throw `ConnectionError` when none came, and what else went wrong as its own error. */
  async send(call: Call): Promise<Response> {
    const { options } = this;
    const request: RequestInit = {
      method: call.method,
      headers: await this.#headers(call),
      signal: call.signal,
      // An answer of yesterday is no answer.
      cache: 'no-store',
    };
    if (call.payload !== undefined) {
      request.body = JSON.stringify(call.payload);
    }
    // Not as a method of the options: browsers want their own `fetch` called without one.
    const { fetch } = options;
    const response = await fetch(this.urlOf(call), request).catch((cause: unknown) => {
      call.signal.throwIfAborted();
      throw new ConnectionError(`${call.method} ${call.path}: the server was not reached`, { cause });
    });
    if (response.ok) {
      return response;
    }
    throw await errorOf(call, response);
  }

  /** `send`, again and again while that costs nothing: `mayRepeat` says whether a lost request may be sent twice. */
  async sendPatiently(call: Call, mayRepeat: boolean): Promise<Response> {
    const { reconnect } = this.options;
    for (let failures = 1; ; failures += 1) {
      try {
        return await this.send(call);
      } catch (error) {
        const mayTryAgain = mayRepeat ? isPassing : isRefusedForNow;
        if (!(error instanceof DockrionError) || failures >= reconnect.attempts || !mayTryAgain(error)) {
          throw error;
        }
        const atLeastMs = waitOf(error, reconnect);
        if (atLeastMs === undefined) {
          throw error;
        }
        const delayMs = pauseMs(reconnect, failures, atLeastMs);
        call.onReconnect?.({ attempt: failures, delayMs, cause: error });
        await pause(delayMs, call.signal);
      }
    }
  }

  async json<T>(call: Call, mayRepeat: boolean): Promise<{ body: T; response: Response }> {
    const response = await this.sendPatiently(call, mayRepeat);
    const text = await response.text().catch((cause: unknown) => {
      call.signal.throwIfAborted();
      throw new ConnectionError(`${call.method} ${call.path}: the answer broke off`, {
        cause,
        ...factsOf(response),
      });
    });
    try {
      return { body: JSON.parse(text) as T, response };
    } catch (cause) {
      throw unexpected(call, response, text, cause);
    }
  }

  /** Whether calls carry credentials, as far as is known here. */
  get hasSecret(): boolean {
    return this.options.apiKey !== undefined || this.options.token !== undefined;
  }

  async ticket(path: string, signal: AbortSignal): Promise<{ ticket: string; expires_in: number }> {
    const call = { method: 'POST', path: '/auth/ticket', payload: { path }, signal };
    return (await this.json<{ ticket: string; expires_in: number }>(call, true)).body;
  }

  urlOf(call: Pick<Call, 'path' | 'query'>): string {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value !== undefined) {
        query.set(name, String(value));
      }
    }
    const search = query.toString();
    return `${this.options.url}${call.path}${search && `?${search}`}`;
  }

  async #headers(call: Call): Promise<Record<string, string>> {
    const { apiKey, apiKeyHeader, token, headers } = this.options;
    const all: Record<string, string> = { ...headers };
    if (apiKey !== undefined) {
      all[apiKeyHeader] = await valueOf(apiKey);
    }
    if (token !== undefined) {
      all['Authorization'] = `Bearer ${await valueOf(token)}`;
    }
    if (call.payload !== undefined) {
      all['Content-Type'] = 'application/json';
    }
    for (const [name, value] of Object.entries(call.headers ?? {})) {
      if (value !== undefined) {
        all[name] = value;
      }
    }
    return all;
  }
}

/** Whether trying again may help, without regard to what the first try has done. */
export function isPassing(error: DockrionError): boolean {
  return (
    error instanceof ConnectionError ||
    (error.status !== undefined && (error.status === 429 || AWAY.has(error.status)))
  );
}

/** Whether the server itself says that it has not begun, and when to come back. */
export function isRefusedForNow(error: DockrionError): boolean {
  return (
    (error.status === 429 || error.status === 503) &&
    error.retryAfterSeconds !== undefined &&
    error.runId === undefined
  );
}

/** How long the server wants us to stay away at least; `undefined` when that is too long. */
export function waitOf(error: DockrionError, options: ReconnectOptions): number | undefined {
  const seconds = error.retryAfterSeconds ?? 0;
  return seconds > options.longestRetryAfterSeconds ? undefined : seconds * 1000;
}

function valueOf(secret: Secret): string | Promise<string> {
  return typeof secret === 'function' ? secret() : secret;
}

async function errorOf(call: Call, response: Response): Promise<DockrionError> {
  const text = await response.text().catch(() => '');
  const facts = factsOf(response);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    return unexpected(call, response, text, cause);
  }
  const told = isObject(body) && isObject(body['detail']) ? body['detail'] : body;
  if (isObject(told) && typeof told['code'] === 'string') {
    const message = told['message'] ?? told['error'];
    return errorFor(told['code'], String(message), { ...facts, details: told['details'] });
  }
  return unexpected(call, response, text);
}

function unexpected(
  call: Call,
  response: Response,
  text: string,
  cause?: unknown,
): UnexpectedAnswerError {
  const shown = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}...` : text;
  return new UnexpectedAnswerError(
    `${call.method} ${call.path} answered ${response.status} with what no dockrion server says: ${shown}`,
    { ...factsOf(response), cause },
  );
}

function factsOf(response: Response) {
  const { headers } = response;
  const wait = headers.get('Retry-After') ?? '';
  return {
    status: response.status,
    runId: headers.get('X-Run-ID') ?? undefined,
    requestId: headers.get('X-Request-ID') ?? undefined,
    retryAfterSeconds: /^\d+$/.test(wait) ? Number(wait) : undefined,
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
