// A client of one agent.

import { RECONNECT, type ReconnectOptions } from './backoff.js';
import type { InterruptEvent, Metadata } from './events.js';
import { type CallOptions, Runs, signalOf, type StartOptions } from './runs.js';
import { DirectSource } from './sources.js';
import { EventStream, type StreamOptions } from './stream.js';
import { type Secret, Transport } from './transport.js';

export interface ClientOptions {
  /** Sent as `X-API-Key`, or as `apiKeyHeader` says. */
  apiKey?: Secret | undefined;
  apiKeyHeader?: string | undefined;
  /** Sent as `Authorization: Bearer`. */
  token?: Secret | undefined;
  headers?: Record<string, string> | undefined;
  /** In place of the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
  reconnect?: Partial<ReconnectOptions> | undefined;
}

export type InvokeStreamOptions = StreamOptions & StartOptions;

/** What the agent gave, or what it asks before it goes on. */
export type Invoked<Output = unknown> =
  | { status: 'COMPLETED'; runId: string; output: Output; metadata: Metadata }
  | {
      status: 'INTERRUPTED';
      runId: string;
      interrupts: Pick<InterruptEvent, 'interrupt_id' | 'value'>[];
      metadata: Metadata;
    };

/** Stands for the caller's credentials, once, on one path, for `expires_in` seconds. */
export interface Ticket {
  ticket: string;
  expires_in: number;
}

export class Client {
  readonly runs: Runs;
  readonly #transport: Transport;

  /** `url` is where the agent is served, with its prefix if it has one. */
  constructor(url: string | URL, options: ClientOptions = {}) {
    this.#transport = new Transport({
      url: String(url).replace(/[?#].*$/s, '').replace(/\/+$/, ''),
      apiKey: options.apiKey,
      apiKeyHeader: options.apiKeyHeader ?? 'X-API-Key',
      token: options.token,
      headers: options.headers ?? {},
      fetch: options.fetch ?? globalThis.fetch,
      reconnect: { ...RECONNECT, ...options.reconnect },
    });
    this.runs = new Runs(this.#transport);
  }

  /** Run the agent and wait for its output; throw what it failed with. */
  async invoke<Output = unknown>(payload: unknown, options: StartOptions = {}): Promise<Invoked<Output>> {
    interface Body {
      status?: 'INTERRUPTED';
      output: Output;
      metadata: Metadata;
      interrupts: Pick<InterruptEvent, 'interrupt_id' | 'value'>[];
    }
    const call = {
      method: 'POST',
      path: '/invoke',
      query: { run_id: options.runId, thread_id: options.threadId },
      payload,
      signal: signalOf(options),
      onReconnect: options.onReconnect,
    };
    const { body } = await this.#transport.json<Body>(call, false);
    const { output, interrupts, metadata } = body;
    const runId = metadata.run_id;
    return body.status === 'INTERRUPTED'
      ? { status: body.status, runId, interrupts, metadata }
      : { status: 'COMPLETED', runId, output, metadata };
  }

  /**
   * Run the agent and give its events as they come. The request is made when the stream is read.
   *
   * A stream that breaks comes back by itself where the server holds the run, else it throws `GoneError`. With a `runId`
   * of your own that is true from the first byte on; without one a request that is lost before its answer is an error.
   */
  stream<Output = unknown>(payload: unknown, options: InvokeStreamOptions = {}): EventStream<Output> {
    const { runId, threadId } = options;
    const source = new DirectSource(this.#transport, this.runs, { payload, runId, threadId });
    return new EventStream<Output>(this.#transport, source, options, { runId });
  }

  /**
   * Get what goes into a URL in place of credentials: `?ticket=`, for a caller that cannot send headers. `path` is below
   * the URL of the agent, such as `/invoke/ws`. Only a server with an `auth` section gives any.
   */
  async ticket(path: string, options: CallOptions = {}): Promise<Ticket> {
    return this.#transport.ticket(path, signalOf(options));
  }
}
