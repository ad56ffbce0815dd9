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
const MAX_REDIRECTS = 5;
// As the largest event of a stream.
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

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
      // `fetch` would take the key along to any other server.
      redirect: 'manual',
    };
    if (call.payload !== undefined) {
      request.body = JSON.stringify(call.payload);
    }
    // Not as a method of the options: browsers want their own `fetch` called without one.
    const { fetch } = options;
    let url = this.urlOf(call);
    let response: Response;
    for (let hop = 0; ; hop += 1) {
      response = await fetch(url, request).catch((cause: unknown) => {
        call.signal.throwIfAborted();
        throw new ConnectionError(`${call.method} ${call.path}: the server was not reached`, { cause });
      });
      const target = redirected(call.method, url, response);
      if (target === undefined || hop === MAX_REDIRECTS) {
        break;
      }
      await response.body?.cancel();
      url = target;
    }
    if (response.type === 'opaqueredirect') {
      throw new UnexpectedAnswerError(
        `${call.method} ${call.path} was redirected, which pages cannot follow safely: give the client the URL that it leads to`,
      );
    }
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
    const text = await textOf(response).catch((cause: unknown) => {
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

/**
 * Where to ask the same again, with the same headers: on the same server, or from http to https there. `undefined` where
 * that would give them to somebody else, or change the method, and where there is no redirect.
 */
function redirected(method: string, from: string, response: Response): string | undefined {
  const { status } = response;
  const location = response.headers.get('Location');
  const staysSame = status === 307 || status === 308 || ((status === 301 || status === 302) && method === 'GET');
  if (location === null || !staysSame) {
    return undefined;
  }
  let old: URL;
  let target: URL;
  try {
    old = new URL(from, globalThis.location?.href);
    target = new URL(location, old);
  } catch {
    return undefined;
  }
  const isUpgrade =
    old.protocol === 'http:' && target.protocol === 'https:' && old.hostname === target.hostname && old.port + target.port === '';
  return target.origin === old.origin || isUpgrade ? target.href : undefined;
}

/** The text of a body; one without end is let go. */
async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const piece = await reader?.read();
    if (piece === undefined || piece.done) {
      return text + decoder.decode();
    }
    bytes += piece.value.byteLength;
    if (bytes > MAX_ANSWER_BYTES) {
      await reader?.cancel();
      throw new RangeError(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`);
    }
    text += decoder.decode(piece.value, { stream: true });
  }
}

function valueOf(secret: Secret): string | Promise<string> {
  return typeof secret === 'function' ? secret() : secret;
}

async function errorOf(call: Call, response: Response): Promise<DockrionError> {
  const text = await textOf(response).catch(() => '');
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
